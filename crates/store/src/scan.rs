//! A walk over all keys of a store.

use std::collections::HashSet;
use std::fmt;
use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::Bytes;
use futures_core::Stream;

use crate::{Command, Error, Part, Store};

/// How many keys a step looks at. Redis looks at 10 unless it is told otherwise, which is a round trip
/// for next to nothing; a thousand take it some hundred microseconds.
const STEP: u32 = 1000;

/// How often in a row a part may turn out to have gone before the walk fails: a cluster that moves its
/// slots says so now and then, one that says it every time can't be walked.
const GONE_MAX: u32 = 16;

/// All keys of a store that match a pattern, page by page: what [`Store::scan`] gives. A page may be
/// empty, and a key may come twice.
///
/// The parts of the store are walked one after the other. One that came to hold other keys meanwhile, or
/// that another node took over, is begun anew: no key is passed over because it was moved.
///
/// After an error it can be asked again, and goes on where it was.
pub struct Scan {
    /// The walk, or the step that it is in.
    state: State,
}

enum State {
    Resting(Box<Walk>),
    Walking(Step),
    /// All keys have come.
    Over,
}

type Page = Option<Result<Vec<Bytes>, Error>>;
type Step = Pin<Box<dyn Future<Output = (Box<Walk>, Page)> + Send>>;

impl Store {
    /// All keys that match a glob pattern, page by page, over all parts of the store.
    ///
    /// As with `SCAN`, a key that is there all the time comes at least once, and one that comes or goes
    /// meanwhile may come or not. The store is not held up.
    ///
    /// # Examples
    ///
    /// ```no_run
    /// # async fn example(store: larder_store::Store) -> Result<(), larder_store::Error> {
    /// let mut pages = store.scan("user:*");
    /// while let Some(keys) = pages.next().await {
    ///     println!("{} keys more", keys?.len());
    /// }
    /// # Ok(()) }
    /// ```
    pub fn scan(&self, pattern: impl AsRef<[u8]>) -> Scan {
        Scan {
            state: State::Resting(Box::new(Walk {
                store: self.clone(),
                pattern: Bytes::copy_from_slice(pattern.as_ref()),
                done: HashSet::new(),
                at: None,
                gone: 0,
            })),
        }
    }
}

impl Scan {
    /// The next page, or `None` when all keys have come.
    ///
    /// Nothing is lost if this is cancelled.
    pub async fn next(&mut self) -> Option<Result<Vec<Bytes>, Error>> {
        std::future::poll_fn(|context| self.poll_page(context)).await
    }

    fn poll_page(&mut self, context: &mut Context<'_>) -> Poll<Page> {
        loop {
            match std::mem::replace(&mut self.state, State::Over) {
                State::Over => return Poll::Ready(None),
                State::Resting(walk) => self.state = State::Walking(Box::pin(walk.step())),
                State::Walking(mut step) => match step.as_mut().poll(context) {
                    Poll::Pending => {
                        self.state = State::Walking(step);
                        return Poll::Pending;
                    }
                    Poll::Ready((_, None)) => return Poll::Ready(None),
                    Poll::Ready((walk, page)) => {
                        self.state = State::Resting(walk);
                        return Poll::Ready(page);
                    }
                },
            }
        }
    }
}

impl Stream for Scan {
    type Item = Result<Vec<Bytes>, Error>;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        self.poll_page(context)
    }
}

impl fmt::Debug for Scan {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Scan").finish_non_exhaustive()
    }
}

/// How far a walk has come.
struct Walk {
    store: Store,
    pattern: Bytes,
    /// The parts that have been walked.
    done: HashSet<Part>,
    /// The part that is being walked, and its cursor.
    at: Option<(Part, Bytes)>,
    /// How often in a row a part was not there any more.
    gone: u32,
}

impl Walk {
    async fn step(mut self: Box<Self>) -> (Box<Walk>, Page) {
        let page = self.page().await.transpose();
        (self, page)
    }

    async fn page(&mut self) -> Result<Option<Vec<Bytes>>, Error> {
        loop {
            let Some((part, cursor)) = self.place().await? else {
                return Ok(None);
            };
            match self.keys_of(&part, &cursor).await {
                Ok((next, keys)) => {
                    self.gone = 0;
                    self.went_on(part, next);
                    return Ok(Some(keys));
                }
                Err(Error::Gone) if self.gone < GONE_MAX => {
                    self.gone += 1;
                    self.at = None;
                }
                Err(error) => return Err(error),
            }
        }
    }

    /// Where to go on. The parts are asked for anew whenever one is done: only so it is seen that one
    /// of those behind took over keys.
    async fn place(&mut self) -> Result<Option<(Part, Bytes)>, Error> {
        if self.at.is_none() {
            let parts = self.store.parts().await?;
            let next = parts.into_iter().find(|part| !self.done.contains(part));
            self.at = next.map(|part| (part, Bytes::from_static(b"0")));
        }
        Ok(self.at.clone())
    }

    async fn keys_of(&self, part: &Part, cursor: &Bytes) -> Result<(Bytes, Vec<Bytes>), Error> {
        let scan = Command::new("SCAN").arg(cursor).arg("MATCH");
        let scan = scan.arg(&self.pattern).arg("COUNT").arg(STEP);
        self.store.run(scan.on(part)).await
    }

    fn went_on(&mut self, part: Part, next: Bytes) {
        self.at = match &*next {
            b"0" => {
                self.done.insert(part);
                None
            }
            _ => Some((part, next)),
        };
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;
    use std::sync::{Arc, Mutex};
    use std::task::Waker;

    use super::*;
    use crate::{Answer, Backend, Channels, Subscription, Value};

    /// A cluster whose parts have pages of keys. Each call of a command may change it.
    #[derive(Clone, Default)]
    struct Cluster(Arc<Mutex<Nodes>>);

    type Happening = Box<dyn FnMut(&mut Nodes) + Send>;

    #[derive(Default)]
    struct Nodes {
        pages: HashMap<Part, Vec<Vec<&'static str>>>,
        asked: Vec<String>,
        /// What happens before the command of this number.
        plan: Vec<(usize, Happening)>,
        /// The error of the command of this number.
        error: Option<(usize, Error)>,
    }

    impl Nodes {
        fn call(&mut self, command: &Command) -> Result<Value, Error> {
            let number = self.asked.len();
            let part = command
                .delivery()
                .part
                .clone()
                .expect("a step names its part");
            let cursor = String::from_utf8_lossy(command.arguments().get(1).unwrap()).into_owned();
            self.asked.push(format!("{part} {cursor}"));
            if let Some(at) = self.plan.iter().position(|(at, _)| *at == number) {
                let (_, mut happen) = self.plan.remove(at);
                happen(self);
            }
            if let Some((_, error)) = self.error.take_if(|(at, _)| *at == number) {
                return Err(error);
            }
            let pages = self.pages.get(&part).ok_or(Error::Gone)?;
            let at: usize = cursor.parse().unwrap();
            let next = (at + 1) % pages.len();
            let keys = pages[at].iter().map(|key| Value::Bytes(Bytes::from(*key)));
            let next = Value::Bytes(Bytes::from(next.to_string()));
            Ok(Value::Array(vec![next, Value::Array(keys.collect())]))
        }
    }

    impl Backend for Cluster {
        fn call(&self, command: Command) -> Answer<'_, Value> {
            Answer::ready(self.0.lock().unwrap().call(&command))
        }

        fn call_all(&self, _: Vec<Command>) -> Answer<'_, Vec<Result<Value, Error>>> {
            unreachable!("a walk sends one command after the other")
        }

        fn subscribe(&self, _: Channels) -> Answer<'_, Subscription> {
            unreachable!("a walk does not listen")
        }

        fn parts(&self) -> Answer<'_, Vec<Part>> {
            let mut parts: Vec<Part> = self.0.lock().unwrap().pages.keys().cloned().collect();
            parts.sort_by(|one, other| one.as_str().cmp(other.as_str()));
            Answer::ready(Ok(parts))
        }
    }

    fn cluster(parts: &[(&Part, &[&[&'static str]])]) -> Cluster {
        let cluster = Cluster::default();
        let pages = parts.iter().map(|(part, pages)| {
            let pages = pages.iter().map(|page| page.to_vec()).collect();
            ((*part).clone(), pages)
        });
        cluster.0.lock().unwrap().pages = pages.collect();
        cluster
    }

    impl Cluster {
        fn before(&self, number: usize, happen: impl FnMut(&mut Nodes) + Send + 'static) {
            let mut nodes = self.0.lock().unwrap();
            nodes.plan.push((number, Box::new(happen)));
        }

        fn asked(&self) -> Vec<String> {
            self.0.lock().unwrap().asked.clone()
        }
    }

    /// What a scan gives, whose answers are all there at once: keys, and errors as texts.
    fn walk(cluster: &Cluster) -> Vec<String> {
        let mut scan = Store::new(cluster.clone()).scan("*");
        let mut context = Context::from_waker(Waker::noop());
        let mut all = Vec::new();
        loop {
            match scan.poll_page(&mut context) {
                Poll::Pending => {}
                Poll::Ready(None) => return all,
                Poll::Ready(Some(Err(error))) => all.push(error.to_string()),
                Poll::Ready(Some(Ok(keys))) => {
                    all.extend(
                        keys.iter()
                            .map(|key| String::from_utf8_lossy(key).into_owned()),
                    );
                }
            }
        }
    }

    #[test]
    fn all_parts_are_walked_one_after_the_other() {
        let (one, two) = (Part::new("a"), Part::new("b"));
        let cluster = cluster(&[(&one, &[&["1"], &[], &["2"]]), (&two, &[&["3"]])]);
        assert_eq!(walk(&cluster), ["1", "2", "3"]);
        assert_eq!(cluster.asked(), ["a 0", "a 1", "a 2", "b 0"]);
    }

    #[test]
    fn a_part_that_another_node_took_over_is_begun_anew() {
        let (one, heir) = (Part::new("a"), Part::new("c"));
        let cluster = cluster(&[(&one, &[&["1"], &["2"]])]);
        cluster.before(1, move |nodes| {
            let pages = nodes.pages.remove(&Part::new("a")).unwrap();
            nodes.pages.insert(heir.clone(), pages);
        });
        assert_eq!(walk(&cluster), ["1", "1", "2"]);
        assert_eq!(cluster.asked(), ["a 0", "a 1", "c 0", "c 1"]);
    }

    #[test]
    fn a_part_that_was_walked_and_then_got_more_keys_is_walked_again() {
        let (one, two) = (Part::new("a"), Part::new("b"));
        let cluster = cluster(&[(&one, &[&["1"]]), (&two, &[&["2"], &["3"]])]);
        // The slot of the key 3 moves from the second part to the first while the second is walked.
        cluster.before(2, |nodes| {
            let moved = Part::new("a").with_version(1);
            nodes.pages.remove(&Part::new("a"));
            nodes.pages.insert(moved, vec![vec!["1", "3"]]);
            nodes.pages.insert(Part::new("b"), vec![vec!["2"], vec![]]);
        });
        assert_eq!(walk(&cluster), ["1", "2", "1", "3"]);
    }

    #[test]
    fn a_walk_goes_on_where_it_was_after_an_error() {
        let one = Part::new("a");
        let cluster = cluster(&[(&one, &[&["1"], &["2"]])]);
        cluster.0.lock().unwrap().error = Some((1, Error::Conflict));
        let conflict = Error::Conflict.to_string();
        assert_eq!(walk(&cluster), ["1", &conflict, "2"]);
        assert_eq!(cluster.asked(), ["a 0", "a 1", "a 1"]);
    }

    /// A backend that lists a part and then does not know it would else be asked for ever.
    #[test]
    fn a_walk_fails_where_a_part_is_always_gone() {
        let cluster = cluster(&[(&Part::new("a"), &[&["1"]])]);
        for number in 0..=GONE_MAX as usize {
            cluster.before(number, move |nodes| {
                nodes.error = Some((number, Error::Gone));
            });
        }
        let walked = walk(&cluster);
        assert_eq!(walked[0], Error::Gone.to_string());
        assert_eq!(cluster.asked().len(), GONE_MAX as usize + 2);
    }
}
