//! A command and its arguments.

use std::borrow::Cow;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use larder_resp::{ArgumentBuffer, Arguments};

use crate::span::LONGEST;
use crate::{Delivery, Key, Part, Trail};

/// A command of Redis with its arguments, as byte strings.
///
/// # Examples
///
/// ```
/// use larder_store::Command;
///
/// let command = Command::new("SET").arg("greeting").arg("hello").arg("PX").arg(1500);
/// assert_eq!(command.to_string(), "SET greeting hello PX 1500");
/// ```
#[derive(Clone)]
pub struct Command {
    arguments: ArgumentBuffer,
    /// How it is to be delivered, if anything was said of that: most often nothing is.
    delivery: Option<Box<Delivery>>,
}

impl Command {
    /// A command of this name, in any case. Write a subcommand as the first argument.
    pub fn new(name: &str) -> Command {
        // Made where it goes, and filled there: it is large.
        let mut command = Command {
            arguments: ArgumentBuffer::new(),
            delivery: None,
        };
        command.arguments.push(name.as_bytes());
        command
    }

    /// A command of this name, with room for so many words and bytes, the name's too.
    pub(crate) fn with_capacity(name: &str, words: usize, bytes: usize) -> Command {
        let mut arguments = ArgumentBuffer::with_capacity(words, bytes);
        arguments.push(name.as_bytes());
        Command::from(arguments)
    }

    /// The same command with one argument more.
    #[must_use]
    #[inline]
    pub fn arg(self, argument: impl ToArgument) -> Command {
        // Bound anew, so that the argument is written to where the command goes.
        let mut command = self;
        argument.write_to(&mut command.arguments);
        command
    }

    /// The same command with these arguments behind the others.
    #[must_use]
    pub fn args<A: ToArgument>(mut self, arguments: impl IntoIterator<Item = A>) -> Command {
        for argument in arguments {
            argument.write_to(&mut self.arguments);
        }
        self
    }

    /// Adds an argument in place.
    pub fn push(&mut self, argument: impl ToArgument) {
        argument.write_to(&mut self.arguments);
    }

    /// The name, as it was given.
    pub fn name(&self) -> &[u8] {
        self.arguments().get(0).unwrap_or_default()
    }

    /// The name and the arguments.
    pub fn arguments(&self) -> Arguments<'_> {
        self.arguments.as_arguments()
    }

    /// The same command, whose caller wants to hear something within this time. If it was not sent by
    /// then the answer is [`Error::Away`], and [`Error::Unanswered`] if it was. The shorter of two such
    /// times holds, and a hundred years is the longest.
    ///
    /// A command that waits by itself (`BLPOP`, `XREAD ... BLOCK`) has its own wait and this on top.
    ///
    /// [`Error::Away`]: crate::Error::Away
    /// [`Error::Unanswered`]: crate::Error::Unanswered
    ///
    /// # Examples
    ///
    /// ```
    /// use std::time::Duration;
    /// use larder_store::Command;
    ///
    /// let time = Duration::from_millis(50);
    /// let command = Command::new("GET").arg("greeting").within(time);
    /// assert_eq!(command.delivery().within, Some(time));
    /// ```
    #[must_use]
    pub fn within(mut self, time: Duration) -> Command {
        self.limit(time);
        self
    }

    /// The same in place.
    pub(crate) fn limit(&mut self, time: Duration) {
        let within = &mut self.delivery_mut().within;
        *within = Some(within.unwrap_or(LONGEST).min(time));
    }

    /// The same command, for this part of the store, wherever its keys are: for what asks a part about
    /// itself (`SCAN`, `DBSIZE`). A store that has one part does not look at it. One that has several,
    /// and not this one any more, answers [`Error::Gone`](crate::Error::Gone).
    #[must_use]
    pub fn on(mut self, part: &Part) -> Command {
        self.delivery_mut().part = Some(part.clone());
        self
    }

    /// The same command, of which its caller says that it is harmless if it happens twice: if its answer
    /// is lost it may be sent again. Commands that only read may be sent again without this.
    #[must_use]
    pub fn repeatable(mut self) -> Command {
        self.delivery_mut().is_repeatable = true;
        self
    }

    /// The same command, which a replica may answer if the store is set up so. The data of a replica may
    /// be older.
    #[must_use]
    pub fn from_replica(mut self) -> Command {
        self.delivery_mut().from_replica = true;
        self
    }

    /// Takes back that a replica may answer.
    pub(crate) fn keep_from_replicas(&mut self) {
        self.delivery_mut().from_replica = false;
    }

    /// Says which script it calls.
    pub(crate) fn calls_script(&mut self, name: &'static str) {
        self.delivery_mut().script = Some(name);
    }

    /// Its trail, made if it has none yet: whoever observes it as well has the same.
    pub(crate) fn trail(&mut self) -> Arc<Trail> {
        Arc::clone(self.delivery_mut().trail.get_or_insert_default())
    }

    /// The same command, delivered as another one.
    pub(crate) fn delivered_as(mut self, other: &Command) -> Command {
        self.delivery = other.delivery.clone();
        self
    }

    /// How it is to be delivered.
    #[inline]
    pub fn delivery(&self) -> &Delivery {
        self.delivery.as_deref().unwrap_or(Delivery::PLAIN)
    }

    fn delivery_mut(&mut self) -> &mut Delivery {
        self.delivery.get_or_insert_default()
    }
}

impl Delivery {
    /// How commands are to be delivered that are sent together: within the shortest time that one of
    /// them names, to the part and with the trail of the first, and again or to a replica only if all of
    /// them may.
    ///
    /// # Examples
    ///
    /// ```
    /// use std::time::Duration;
    /// use larder_store::{Command, Delivery};
    ///
    /// let get = |key, ms| Command::new("GET").arg(key).within(Duration::from_millis(ms));
    /// let both = Delivery::of_all(&[get("a", 50), get("b", 20)]);
    /// assert_eq!(both.within, Some(Duration::from_millis(20)));
    /// ```
    pub fn of_all(commands: &[Command]) -> Delivery {
        let all = || commands.iter().map(Command::delivery);
        Delivery {
            within: all().filter_map(|delivery| delivery.within).min(),
            part: all().next().and_then(|delivery| delivery.part.clone()),
            is_repeatable: !commands.is_empty() && all().all(|delivery| delivery.is_repeatable),
            from_replica: !commands.is_empty() && all().all(|delivery| delivery.from_replica),
            script: None,
            trail: all().next().and_then(|delivery| delivery.trail.clone()),
        }
    }
}

impl From<ArgumentBuffer> for Command {
    #[inline]
    fn from(arguments: ArgumentBuffer) -> Command {
        Command {
            arguments,
            delivery: None,
        }
    }
}

impl From<Arguments<'_>> for Command {
    fn from(arguments: Arguments<'_>) -> Command {
        let mut buffer = ArgumentBuffer::new();
        for argument in arguments.iter() {
            buffer.push(argument);
        }
        Command::from(buffer)
    }
}

impl fmt::Display for Command {
    /// Writes the command as a person would type it; bytes that are not UTF-8 are replaced.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, argument) in self.arguments().iter().enumerate() {
            if index > 0 {
                f.write_str(" ")?;
            }
            f.write_str(&String::from_utf8_lossy(argument))?;
        }
        Ok(())
    }
}

impl fmt::Debug for Command {
    /// Shows the name and how many arguments there are: values may be secret.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let name = String::from_utf8_lossy(self.name()).into_owned();
        f.debug_struct("Command")
            .field("name", &name)
            .field("len", &self.arguments().len())
            .finish()
    }
}

/// What can be an argument of a command.
pub trait ToArgument {
    /// Appends this value, as one argument.
    fn write_to(&self, arguments: &mut ArgumentBuffer);
}

macro_rules! bytes_arguments {
    ($($type:ty => |$value:ident| $bytes:expr;)*) => {$(
        impl ToArgument for $type {
            fn write_to(&self, arguments: &mut ArgumentBuffer) {
                let $value = self;
                arguments.push($bytes);
            }
        }
    )*};
}

bytes_arguments! {
    str => |text| text.as_bytes();
    String => |text| text.as_bytes();
    [u8] => |bytes| bytes;
    Vec<u8> => |bytes| bytes;
    Bytes => |bytes| bytes;
    Key => |key| key.as_bytes();
    bool => |yes| if *yes { b"1" } else { b"0" };
    f64 => |number| ryu::Buffer::new().format(*number).as_bytes();
    f32 => |number| ryu::Buffer::new().format(*number).as_bytes();
}

macro_rules! integer_arguments {
    ($($type:ty)*) => {$(
        impl ToArgument for $type {
            fn write_to(&self, arguments: &mut ArgumentBuffer) {
                arguments.push(itoa::Buffer::new().format(*self).as_bytes());
            }
        }
    )*};
}

integer_arguments! { i8 i16 i32 i64 i128 isize u8 u16 u32 u64 u128 usize }

macro_rules! nonzero_arguments {
    ($($type:ident)*) => {$(
        impl ToArgument for std::num::$type {
            fn write_to(&self, arguments: &mut ArgumentBuffer) {
                self.get().write_to(arguments);
            }
        }
    )*};
}

nonzero_arguments! { NonZeroU32 NonZeroU64 NonZeroUsize }

impl<const N: usize> ToArgument for [u8; N] {
    fn write_to(&self, arguments: &mut ArgumentBuffer) {
        arguments.push(self);
    }
}

impl ToArgument for Duration {
    /// Whole milliseconds, rounded up: a time to live must not become zero on its way.
    fn write_to(&self, arguments: &mut ArgumentBuffer) {
        self.as_nanos().div_ceil(1_000_000).write_to(arguments);
    }
}

macro_rules! pointers_to_arguments {
    ($($type:ty)*) => {$(
        impl<T: ToArgument + ?Sized> ToArgument for $type {
            fn write_to(&self, arguments: &mut ArgumentBuffer) {
                (**self).write_to(arguments);
            }
        }
    )*};
}

pointers_to_arguments! { &T Box<T> Arc<T> }

impl<T: ToArgument + ToOwned + ?Sized> ToArgument for Cow<'_, T> {
    fn write_to(&self, arguments: &mut ArgumentBuffer) {
        (**self).write_to(arguments);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_batch_goes_where_its_first_goes_within_the_shortest_time_of_all() {
        let ms = Duration::from_millis;
        let (here, there) = (Part::new("a:1"), Part::new("b:1"));
        let ping = || Command::new("PING");
        let batch = [
            ping().on(&here).within(ms(30)).repeatable(),
            ping().on(&there).within(ms(20)).repeatable().from_replica(),
            ping().repeatable(),
        ];
        let wanted = Delivery {
            within: Some(ms(20)),
            part: Some(here),
            is_repeatable: true,
            ..Delivery::default()
        };
        assert_eq!(Delivery::of_all(&batch), wanted);
        assert_eq!(Delivery::of_all(&[]), Delivery::default());
    }
}
