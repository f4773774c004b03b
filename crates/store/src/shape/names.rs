//! Names of commands, and what they mean: a hash table for names in any case.

use larder_resp::Arguments;

/// What is known by the names of commands, in any case: a hash table of open addressing.
///
/// A name of two words, such as `XGROUP CREATE`, is that of a subcommand. It is found by the first two
/// words of a request.
#[derive(Debug)]
pub struct Names<T: 'static> {
    places: Box<[Option<Named<T>>; PLACES]>,
}

/// What a request's name means.
#[derive(Debug)]
pub enum Found<T: 'static> {
    /// That.
    One(&'static T),
    /// Its first word has subcommands, and the second is none of them, or is not there.
    NoSubcommand,
    /// Nothing.
    Nothing,
}

/// A few times as many places as there are names.
const PLACES: usize = 1 << 11;

/// The longest name of two words, and more: no command has one that is longer.
const LEN_MAX: usize = 64;

/// A name and what it means.
#[derive(Debug)]
struct Named<T: 'static> {
    name: &'static [u8],
    key: NameKey,
    meaning: Meaning<T>,
}

#[derive(Debug)]
enum Meaning<T: 'static> {
    One(&'static T),
    /// A name that wants a subcommand behind it.
    Container,
    /// A command that has subcommands too: COMMAND.
    Both(&'static T),
    /// Two words, which are not the first word of a request.
    Subcommand(&'static T),
}

/// What a name is compared by: its first and last eight bytes in capitals, and its length. They are all
/// of a name that is short.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct NameKey {
    first: u64,
    last: u64,
    len: usize,
}

impl<T> Names<T> {
    /// A table of these names, in capitals.
    pub fn new(names: impl Iterator<Item = (&'static str, &'static T)>) -> Names<T> {
        let mut table = Names {
            places: Box::new([const { None }; PLACES]),
        };
        for (name, meaning) in names {
            match name.split_once(' ') {
                None => table.insert(name, Meaning::One(meaning)),
                Some((container, _)) => {
                    table.insert(container, Meaning::Container);
                    table.insert(name, Meaning::Subcommand(meaning));
                }
            }
        }
        table
    }

    fn insert(&mut self, name: &'static str, meaning: Meaning<T>) {
        let name = name.as_bytes();
        let key = NameKey::of(name);
        let mut place = key.place();
        while let Some(known) = &mut self.places[place] {
            if known.name == name {
                return known.meaning.unite(meaning);
            }
            place = (place + 1) % PLACES;
        }
        self.places[place] = Some(Named { name, key, meaning });
    }

    /// What the name of a request means.
    #[inline]
    pub fn find(&self, request: Arguments<'_>) -> Found<T> {
        match self.meaning(request.get(0).unwrap_or_default()) {
            Some(Meaning::One(one)) => Found::One(one),
            meaning => self.find_otherwise(meaning, request),
        }
    }

    /// The same for a name that is not that of one command alone.
    #[inline(never)]
    fn find_otherwise(&self, meaning: Option<&Meaning<T>>, request: Arguments<'_>) -> Found<T> {
        let (container, name) = match (meaning, request.get(0), request.get(1)) {
            (None | Some(Meaning::Subcommand(_)), ..) => return Found::Nothing,
            (Some(Meaning::One(one)), ..) | (Some(Meaning::Both(one)), _, None) => {
                return Found::One(one);
            }
            (_, Some(container), Some(name)) => (container, name),
            _ => return Found::NoSubcommand,
        };
        let mut full = [0; LEN_MAX];
        let len = container.len() + 1 + name.len();
        let Some(full) = full.get_mut(..len) else {
            return Found::NoSubcommand;
        };
        full[..container.len()].copy_from_slice(container);
        full[container.len()] = b' ';
        full[container.len() + 1..].copy_from_slice(name);
        match self.meaning(full) {
            Some(Meaning::Subcommand(one)) => Found::One(one),
            _ => Found::NoSubcommand,
        }
    }

    /// What this name means, in any case.
    #[inline]
    fn meaning(&self, name: &[u8]) -> Option<&Meaning<T>> {
        let key = NameKey::of(name);
        let mut place = key.place();
        while let Some(known) = &self.places[place] {
            if known.key == key && key.is_whole() {
                return Some(&known.meaning);
            }
            if known.key == key {
                return self.long(name, place);
            }
            place = (place + 1) % PLACES;
        }
        None
    }

    /// The same for a name whose key does not say it all, from a place on. Few are so long.
    #[cold]
    fn long(&self, name: &[u8], from: usize) -> Option<&Meaning<T>> {
        let (before, after) = self.places.split_at(from);
        let mut known = after.iter().chain(before).map_while(Option::as_ref);
        let found = known.find(|known| known.name.eq_ignore_ascii_case(name))?;
        Some(&found.meaning)
    }
}

impl<T> Meaning<T> {
    /// What a name means that stands alone, and before subcommands.
    fn unite(&mut self, other: Meaning<T>) {
        match (&self, &other) {
            (Meaning::One(one), Meaning::Container) | (Meaning::Container, Meaning::One(one)) => {
                *self = Meaning::Both(one);
            }
            _ => {}
        }
    }
}

impl NameKey {
    #[inline]
    fn of(name: &[u8]) -> NameKey {
        let (first, last) = match (name.first_chunk(), name.last_chunk()) {
            (Some(first), Some(last)) => (
                in_capitals(u64::from_le_bytes(*first)),
                in_capitals(u64::from_le_bytes(*last)),
            ),
            _ => (in_capitals(short_word(name)), 0),
        };
        let len = name.len();
        NameKey { first, last, len }
    }

    /// Whether there is nothing between the first and the last bytes.
    #[inline]
    fn is_whole(self) -> bool {
        self.len <= 2 * size_of::<u64>()
    }

    /// Where the search for the name begins.
    #[inline]
    fn place(self) -> usize {
        let key = self.first ^ self.last.rotate_left(29) ^ self.len as u64;
        (key.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 53) as usize % PLACES
    }
}

/// The same eight bytes with the letters of ASCII in capitals, all at once: the top bit of a byte of
/// `from_a` says that its lower seven bits are `a` or more, that of `beyond_z` that they are more
/// than `z`.
#[inline]
fn in_capitals(word: u64) -> u64 {
    const EVERY_BYTE: u64 = u64::from_le_bytes([1; 8]);
    const TOP_BITS: u64 = EVERY_BYTE * 0x80;
    let low = word & !TOP_BITS;
    let from_a = low + EVERY_BYTE * (0x80 - b'a' as u64);
    let beyond_z = low + EVERY_BYTE * (0x7f - b'z' as u64);
    let small = from_a & !beyond_z & !word & TOP_BITS;
    word ^ (small >> 2)
}

/// Fewer than eight bytes as the low bytes of a word. Two reads may overlap; what both give is the
/// same.
#[inline]
pub fn short_word(bytes: &[u8]) -> u64 {
    let len = bytes.len();
    match (bytes.first_chunk::<4>(), bytes.last_chunk::<4>(), bytes) {
        (Some(first), Some(last), _) => {
            let (first, last) = (u32::from_le_bytes(*first), u32::from_le_bytes(*last));
            u64::from(first) | u64::from(last) << (8 * (len - 4))
        }
        (_, _, [first, .., last]) => {
            let middle = u64::from(bytes[len / 2]) << (8 * (len / 2));
            u64::from(*first) | middle | u64::from(*last) << (8 * (len - 1))
        }
        (_, _, [only]) => u64::from(*only),
        _ => 0,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::shape::all;

    #[test]
    fn a_name_is_found_in_any_case_and_no_other_name_is() {
        let names = Names::new(all().map(|shape| (shape.name, shape)));
        let is_known = |name: &[u8]| names.meaning(name).is_some();
        for shape in all() {
            let name = shape.name.as_bytes();
            for place in 0..name.len() {
                let with = |byte: u8| {
                    let mut other = name.to_vec();
                    other[place] = byte;
                    other
                };
                let byte = name[place];
                assert!(is_known(&with(byte.to_ascii_lowercase())), "{}", shape.name);
                assert!(!is_known(&with(byte ^ 0x80)), "{}", shape.name);
                let not_a_letter = match byte.is_ascii_uppercase() {
                    true => byte & !0x40,
                    false => byte ^ 0x20,
                };
                assert!(!is_known(&with(not_a_letter)), "{}", shape.name);
            }
        }
    }

    #[test]
    fn all_bytes_but_small_letters_stay() {
        for byte in 0..=u8::MAX {
            let word = u64::from_le_bytes([byte; 8]);
            let wanted = [byte.to_ascii_uppercase(); 8];
            assert_eq!(in_capitals(word).to_le_bytes(), wanted, "{byte}");
        }
    }

    #[test]
    fn a_short_name_is_read_whole() {
        for len in 0..8 {
            let bytes: Vec<u8> = (1..=len).collect();
            let mut padded = [0; 8];
            padded[..bytes.len()].copy_from_slice(&bytes);
            assert_eq!(short_word(&bytes), u64::from_le_bytes(padded), "{len}");
        }
    }

    #[test]
    fn a_container_wants_a_subcommand_and_a_command_may_have_some() {
        static ALONE: &str = "COMMAND";
        static SUB: &str = "COMMAND INFO";
        let names = Names::new([(SUB, &SUB), (ALONE, &ALONE), ("OBJECT FREQ", &SUB)].into_iter());
        let find = |line: &str| {
            let mut words = line.split(" ");
            let command = crate::Command::new(words.next().unwrap()).args(words);
            match names.find(command.arguments()) {
                Found::One(name) => *name,
                Found::NoSubcommand => "no subcommand",
                Found::Nothing => "nothing",
            }
        };
        assert_eq!(find("command"), ALONE);
        assert_eq!(find("command info"), SUB);
        assert_eq!(find("command foo"), "no subcommand");
        assert_eq!(find("object"), "no subcommand");
        assert_eq!(
            find(&format!("object {}", "x".repeat(100))),
            "no subcommand"
        );
        assert_eq!(find("nothing"), "nothing");
    }
}
