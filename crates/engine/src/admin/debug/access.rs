//! Who may use DEBUG: `enable-debug-command`.

use crate::session::Session;

/// Who may use DEBUG.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum DebugAccess {
    /// Nobody.
    #[default]
    No,
    /// Who comes from this machine, or calls in the process.
    Local,
    /// Everybody.
    Yes,
}

impl DebugAccess {
    /// As the configuration writes it.
    pub fn name(self) -> &'static str {
        match self {
            DebugAccess::No => "no",
            DebugAccess::Local => "local",
            DebugAccess::Yes => "yes",
        }
    }

    /// Whether this caller may.
    pub(super) fn allows(self, session: &Session) -> bool {
        match self {
            DebugAccess::No => false,
            DebugAccess::Local => session
                .client()
                .is_none_or(|client| client.info().is_of_this_machine()),
            DebugAccess::Yes => true,
        }
    }
}

impl std::str::FromStr for DebugAccess {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<DebugAccess, &'static str> {
        let all = [DebugAccess::No, DebugAccess::Local, DebugAccess::Yes];
        let found = all.into_iter().find(|access| access.name() == text);
        found.ok_or("it is yes, no or local")
    }
}

impl std::fmt::Display for DebugAccess {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.name())
    }
}
