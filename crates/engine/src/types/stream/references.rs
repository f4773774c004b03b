//! References: what groups still have to do with the entries of a stream that are to be removed.
//!
//! An entry is referenced by a group that has not delivered it yet, or in which it is pending. What is
//! removed may leave such references behind, which then point nowhere; or take them along; or stay for
//! as long as there are any. Redis has the three since 8.2.

use super::{Id, Precision, Stream, Trim};

/// What becomes of the references to an entry that is removed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum References {
    /// They stay.
    #[default]
    Keep,
    /// They are removed as well.
    Remove,
    /// An entry that has some is not removed.
    Respect,
}

/// What came of an entry that was to be removed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Removal {
    Missing,
    Removed,
    /// It is still referenced.
    Referenced,
}

impl Stream {
    /// Removes the entry with this id.
    pub(crate) fn remove(&mut self, id: Id, references: References) -> Removal {
        if references == References::Respect && self.log.get(id).is_some() && self.is_referenced(id)
        {
            return Removal::Referenced;
        }
        if references == References::Remove {
            self.forget(id);
        }
        match self.log.remove(id) {
            true => Removal::Removed,
            false => Removal::Missing,
        }
    }

    /// Removes entries from the front. Answers how many.
    pub(crate) fn trim(
        &mut self,
        until: Trim,
        precision: Precision,
        references: References,
    ) -> u64 {
        match references {
            References::Respect if !self.groups.is_empty() => {
                self.trim_unreferenced(until, precision)
            }
            References::Remove if !self.groups.is_empty() => {
                let excess = self.log.excess(until, precision);
                let all = self.log.range(Id::MIN, Id::MAX).map(|entry| entry.id);
                let ids: Vec<Id> = all.take(excess as usize).collect();
                ids.into_iter().for_each(|id| self.forget(id));
                self.log.trim(until, precision)
            }
            _ => self.log.trim(until, precision),
        }
    }

    /// Removes entries from the front that are not referenced, and passes over the others.
    fn trim_unreferenced(&mut self, until: Trim, precision: Precision) -> u64 {
        let removable = match until {
            Trim::MaxLen(len_max) => self.log.len().saturating_sub(len_max),
            Trim::MinId(_) => u64::MAX,
        };
        let removable = removable.min(precision.limit());
        let all = self.log.range(Id::MIN, Id::MAX).map(|entry| entry.id);
        let all = all.take_while(|id| !matches!(until, Trim::MinId(min) if *id >= min));
        let ids = all.filter(|id| !self.is_referenced(*id));
        let ids: Vec<Id> = ids
            .take(usize::try_from(removable).unwrap_or(usize::MAX))
            .collect();
        for id in &ids {
            self.log.remove(*id);
        }
        ids.len() as u64
    }

    /// Whether a group has not delivered an entry yet, or has it pending.
    pub(crate) fn is_referenced(&self, id: Id) -> bool {
        let mut groups = self.groups.values();
        groups.any(|group| id > group.last_delivered_id() || group.pending(id).is_some())
    }

    fn forget(&mut self, id: Id) {
        for group in self.groups.values_mut() {
            group.forget(id);
        }
    }
}
