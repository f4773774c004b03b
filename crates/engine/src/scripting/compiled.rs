//! The scripts that a machine has compiled.

use std::sync::Arc;

use super::stack::{Reference, Stack};
use super::{Script, Table};

/// How many there may be before those that were not used for a while are forgotten.
const COMPILED_MAX: usize = 512;

/// Functions of scripts, by the numbers of the scripts.
#[derive(Default)]
pub(super) struct Compiled {
    functions: Table<u64, Function>,
}

struct Function {
    kept: Reference,
    /// Since the last time that some were forgotten.
    is_used: bool,
}

impl Compiled {
    pub(super) fn len(&self) -> usize {
        self.functions.len()
    }

    pub(super) fn find(&mut self, script: &Script) -> Option<Reference> {
        let function = self.functions.get_mut(&script.number)?;
        function.is_used = true;
        Some(function.kept)
    }

    /// Keeps the function of a script, and forgets others if they are many.
    pub(super) fn insert(&mut self, script: &Arc<Script>, kept: Reference, stack: &mut Stack) {
        if self.functions.len() >= COMPILED_MAX {
            self.forget(stack);
        }
        let function = Function {
            kept,
            is_used: true,
        };
        self.functions.insert(script.number, function);
    }

    /// Forgets what was not used since the last time, or all if that was nothing.
    fn forget(&mut self, stack: &mut Stack) {
        let all_used = self.functions.values().all(|function| function.is_used);
        self.functions.retain(|_, function| {
            let stays = std::mem::take(&mut function.is_used) && !all_used;
            if !stays {
                stack.release(function.kept);
            }
            stays
        });
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::super::Purpose;
    use super::super::script::Script;
    use super::super::vm::Vm;
    use super::COMPILED_MAX;

    #[test]
    fn a_machine_keeps_no_more_scripts_than_it_may() {
        let mut vm =
            Vm::new(Purpose::Scripts, 0, Arc::default(), Arc::default()).expect("a machine");
        for number in 0..2000 {
            let text = format!("return {number}");
            let script = Arc::new(Script::read(text.as_bytes(), number).expect("a script"));
            vm.compile(&script).expect("it is Lua");
            assert!(vm.compiled_len() <= COMPILED_MAX);
        }
    }
}
