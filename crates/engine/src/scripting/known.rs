//! The scripts that are known.
//!
//! Those that came by SCRIPT LOAD stay until SCRIPT FLUSH. Of those that came by EVAL the ones that
//! were used last stay, as in Redis 7.4: whoever makes a text for each call must not fill the memory.

use std::borrow::Borrow;
use std::collections::HashSet;
use std::hash::{Hash, Hasher};
use std::sync::Arc;

use super::{Digest, Script, Table};

/// How many scripts may be known that came by EVAL.
const EVALS_MAX: usize = 500;

/// How long their texts may be together.
const EVALS_LEN_MAX: usize = 64 << 20;

/// The scripts that are known, by their digests and by their texts.
#[derive(Debug, Default)]
pub(super) struct Known {
    by_digest: Table<Digest, Arc<Script>>,
    by_text: HashSet<ByText, foldhash::fast::RandomState>,
    /// Those that came by EVAL.
    evals: Vec<Arc<Script>>,
    /// How long their texts are together.
    evals_len: usize,
    /// How many scripts have become known.
    inserted: u64,
    /// How many have been forgotten since there were too many.
    forgotten: u64,
}

/// A script that is found by its text.
#[derive(Debug)]
struct ByText(Arc<Script>);

impl Borrow<[u8]> for ByText {
    fn borrow(&self) -> &[u8] {
        &self.0.text
    }
}

impl Hash for ByText {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.0.text.hash(state);
    }
}

impl PartialEq for ByText {
    fn eq(&self, other: &ByText) -> bool {
        self.0.text == other.0.text
    }
}

impl Eq for ByText {}

impl Known {
    pub(super) fn len(&self) -> usize {
        self.by_digest.len()
    }

    /// How many bytes the texts take.
    pub(super) fn bytes(&self) -> usize {
        self.by_digest
            .values()
            .map(|script| script.text.len())
            .sum()
    }

    /// How many scripts have been forgotten since there were too many.
    pub(super) fn forgotten(&self) -> u64 {
        self.forgotten
    }

    /// Begins to count those anew.
    pub(super) fn reset_forgotten(&mut self) {
        self.forgotten = 0;
    }

    pub(super) fn by_digest(&self, digest: &Digest) -> Option<&Arc<Script>> {
        self.by_digest.get(digest)
    }

    pub(super) fn by_text(&self, text: &[u8]) -> Option<&Arc<Script>> {
        self.by_text.get(text).map(|ByText(script)| script)
    }

    /// A script is used.
    pub(super) fn touch(&self, script: &Script) {
        if script.used_at() != self.inserted {
            script.set_used_at(self.inserted);
        }
    }

    /// Makes a script known, for good if it `stays`. Answers the one that is known by its text.
    pub(super) fn insert(&mut self, script: Arc<Script>, stays: bool) -> Arc<Script> {
        self.inserted += 1;
        let script = match self.by_text(&script.text) {
            Some(known) => Arc::clone(known),
            None => {
                self.add(&script, stays);
                script
            }
        };
        self.touch(&script);
        if stays && !script.stays() {
            script.set_stays();
            self.evals_len -= script.text.len();
            self.evals.retain(|eval| !Arc::ptr_eq(eval, &script));
        }
        self.forget_evals();
        script
    }

    fn add(&mut self, script: &Arc<Script>, stays: bool) {
        script.set_known(true);
        self.by_digest.insert(script.digest, Arc::clone(script));
        self.by_text.insert(ByText(Arc::clone(script)));
        if stays {
            script.set_stays();
        } else {
            self.evals_len += script.text.len();
            self.evals.push(Arc::clone(script));
        }
    }

    /// Forgets the scripts that came by EVAL and were not used for the longest, while there are too
    /// many.
    fn forget_evals(&mut self) {
        let is_too_much = |known: &Known| {
            let is_long = known.evals_len > EVALS_LEN_MAX && known.evals.len() > 1;
            known.evals.len() > EVALS_MAX || is_long
        };
        while is_too_much(self) {
            let oldest = (0..self.evals.len()).min_by_key(|&place| self.evals[place].used_at());
            let script = self.evals.swap_remove(oldest.unwrap_or(0));
            script.set_known(false);
            self.evals_len -= script.text.len();
            self.by_digest.remove(&script.digest);
            self.by_text.remove(&*script.text);
            self.forgotten += 1;
        }
    }

    /// Forgets all scripts.
    pub(super) fn flush(&mut self) {
        for script in self.by_digest.values() {
            script.set_known(false);
        }
        *self = Known {
            forgotten: self.forgotten,
            ..Known::default()
        };
    }
}
