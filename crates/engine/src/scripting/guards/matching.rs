//! The functions of `string` that match patterns, which a script can be ended in.

use std::ffi::{CStr, c_int};
use std::marker::PhantomData;
use std::mem::MaybeUninit;
use std::ptr::null_mut;
use std::sync::atomic::Ordering::Relaxed;

use mlua::{ffi, lua_State};

use super::pattern::{Captured, Fault, Matcher, Steps, up_to_zero};
use super::{Guards, call, end_script, guards};

/// How many items of a pattern may make the matcher call itself: those of Lua 5.2 and later.
const ITEMS_MAX: usize = 200;

/// How much of C's stack a script may use before a function that takes much of it is refused.
const C_STACK_MAX: usize = 512 << 10;

/// How many pairs of bytes Lua may compare to find a text as it is, without being interrupted.
const PLAIN_MAX: usize = 1 << 26;

/// `string.find(text, pattern, start, is_plain)`.
pub(super) unsafe extern "C-unwind" fn find(state: *mut lua_State) -> c_int {
    // SAFETY: as all functions here. The texts lie on the stack as long as they are read.
    unsafe {
        let text = text_at(state, 1);
        let pattern = text_at(state, 2);
        let is_plain = ffi::lua_toboolean(state, 4) != 0;
        if !is_plain && has_special(up_to_zero(pattern)) {
            return first_match(state, text, pattern, true);
        }
        if text.len().saturating_mul(pattern.len()) <= PLAIN_MAX {
            return call(state);
        }
        find_plain(state, text, pattern)
    }
}

/// `string.match(text, pattern, start)`.
pub(super) unsafe extern "C-unwind" fn matching(state: *mut lua_State) -> c_int {
    // SAFETY: as `find`.
    unsafe {
        let text = text_at(state, 1);
        let pattern = text_at(state, 2);
        first_match(state, text, pattern, false)
    }
}

/// `string.gmatch(text, pattern)`.
pub(super) unsafe extern "C-unwind" fn gmatch(state: *mut lua_State) -> c_int {
    // SAFETY: as all functions here. There is room for some values more than the arguments.
    unsafe {
        ffi::luaL_checklstring(state, 1, null_mut());
        check_items(state, text_at(state, 2));
        ffi::lua_settop(state, 2);
        // Where a guard has its guards, this function has them too.
        ffi::lua_pushvalue(state, ffi::lua_upvalueindex(2));
        ffi::lua_insert(state, 2);
        ffi::lua_pushnumber(state, 0.0);
        ffi::lua_pushcclosure(state, next_match, 4);
        1
    }
}

/// What `gmatch` answers: its values are the text, the guards, the pattern and the next start.
unsafe extern "C-unwind" fn next_match(state: *mut lua_State) -> c_int {
    // SAFETY: as all functions here. `gmatch` gave the function its values, and they stay.
    unsafe {
        let text = text_at(state, ffi::lua_upvalueindex(1));
        let pattern = text_at(state, ffi::lua_upvalueindex(3));
        let start = ffi::lua_tonumber(state, ffi::lua_upvalueindex(4)) as usize;
        let guards = guards(state);
        let go_on = || guards.go_on();
        let mut matcher = Matcher::new(text, pattern, guards.steps(&go_on));
        for start in start..=text.len() {
            let Some(end) = or_raise(state, matcher.match_at(start)) else {
                continue;
            };
            // Behind a match of nothing, one byte is left out.
            let next = end + usize::from(end == start);
            ffi::lua_pushnumber(state, next as f64);
            ffi::lua_replace(state, ffi::lua_upvalueindex(4));
            return push_captures(state, &matcher, Some(&text[start..end]));
        }
        0
    }
}

/// `string.gsub(text, pattern, replacement, count)`, which takes much of C's stack when it calls a
/// function that calls it.
pub(super) unsafe extern "C-unwind" fn gsub(state: *mut lua_State) -> c_int {
    // SAFETY: as all functions here. The buffer lies on this function's stack while it is used.
    unsafe {
        let text = text_at(state, 1);
        let pattern = text_at(state, 2);
        check_items(state, pattern);
        let kind = ffi::lua_type(state, 3);
        // As Lua makes it an integer, which may be another one.
        let count_max = ffi::luaL_optinteger(state, 4, text.len() as ffi::lua_Integer + 1) as c_int;
        let kinds = [
            ffi::LUA_TNUMBER,
            ffi::LUA_TSTRING,
            ffi::LUA_TFUNCTION,
            ffi::LUA_TTABLE,
        ];
        if !kinds.contains(&kind) {
            let expected = c"string/function/table expected";
            return ffi::luaL_argerror(state, 3, expected.as_ptr());
        }
        let here = 0u8;
        let base = guards(state).stack_base.load(Relaxed);
        if base.abs_diff(&raw const here as usize) > C_STACK_MAX {
            return ffi::luaL_error(state, c"C stack overflow".as_ptr());
        }
        let (is_anchored, pattern) = anchored(pattern);
        let guards = guards(state);
        let go_on = || guards.go_on();
        let mut matcher = Matcher::new(text, pattern, guards.steps(&go_on));
        let mut buffer = MaybeUninit::uninit();
        let mut buffer = Buffer::begin(state, &mut buffer);
        // What stands from `kept` to `start` goes as it is, when the next match is found.
        let (mut count, mut start, mut kept) = (0, 0, 0);
        while count < count_max {
            let end = or_raise(state, matcher.match_at(start));
            if let Some(end) = end {
                count += 1;
                buffer.add(&text[kept..start]);
                add_replacement(state, &mut buffer, &matcher, &text[start..end], kind);
                kept = start;
            }
            match end {
                Some(end) if end > start => (start, kept) = (end, end),
                _ if start < text.len() => start += 1,
                _ => break,
            }
            if is_anchored {
                break;
            }
        }
        buffer.add(&text[kept..]);
        buffer.push();
        ffi::lua_pushnumber(state, f64::from(count));
        2
    }
}

/// Adds what stands for a match.
unsafe fn add_replacement(
    state: *mut lua_State,
    buffer: &mut Buffer<'_>,
    matcher: &Matcher<'_, '_>,
    matched: &[u8],
    kind: c_int,
) {
    // SAFETY: as all functions here. What is pushed is taken off again, or added.
    unsafe {
        match kind {
            ffi::LUA_TFUNCTION => {
                ffi::lua_pushvalue(state, 3);
                let count = push_captures(state, matcher, Some(matched));
                ffi::lua_call(state, count, 1);
            }
            ffi::LUA_TTABLE => {
                push_capture(state, matcher, 0, matched);
                ffi::lua_gettable(state, 3);
            }
            _ => return add_text(state, buffer, matcher, matched),
        }
        if ffi::lua_toboolean(state, -1) == 0 {
            ffi::lua_settop(state, -2);
            return buffer.add(matched);
        }
        if ffi::lua_isstring(state, -1) == 0 {
            let name = ffi::lua_typename(state, ffi::lua_type(state, -1));
            let text = c"invalid replacement value (a %s)";
            ffi::luaL_error(state, text.as_ptr(), name);
        }
        buffer.add_top();
    }
}

/// Adds a replacement that is a text, with the captures that it names.
unsafe fn add_text(
    state: *mut lua_State,
    buffer: &mut Buffer<'_>,
    matcher: &Matcher<'_, '_>,
    matched: &[u8],
) {
    // SAFETY: as all functions here. The text lies on the stack as long as it is read.
    unsafe {
        let mut rest = text_at(state, 3);
        while let Some(place) = rest.iter().position(|&byte| byte == b'%') {
            buffer.add(&rest[..place]);
            match rest.get(place + 1) {
                Some(b'0') => buffer.add(matched),
                Some(&digit @ b'1'..=b'9') => {
                    push_capture(state, matcher, usize::from(digit - b'1'), matched);
                    buffer.add_top();
                }
                Some(&byte) => buffer.add(&[byte]),
                // Lua reads the zero byte behind the text.
                None => buffer.add(&[0]),
            }
            rest = rest.get(place + 2..).unwrap_or_default();
        }
        buffer.add(rest);
    }
}

/// Answers the first match from the place on that the third argument says.
unsafe fn first_match(
    state: *mut lua_State,
    text: &[u8],
    pattern: &[u8],
    with_place: bool,
) -> c_int {
    // SAFETY: as all functions here.
    unsafe {
        check_items(state, pattern);
        let first = start_of(state, text);
        let (is_anchored, pattern) = anchored(pattern);
        let guards = guards(state);
        let go_on = || guards.go_on();
        let mut matcher = Matcher::new(text, pattern, guards.steps(&go_on));
        let last = if is_anchored { first } else { text.len() };
        for start in first..=last {
            let Some(end) = or_raise(state, matcher.match_at(start)) else {
                continue;
            };
            if !with_place {
                return push_captures(state, &matcher, Some(&text[start..end]));
            }
            ffi::lua_pushnumber(state, (start + 1) as f64);
            ffi::lua_pushnumber(state, end as f64);
            return push_captures(state, &matcher, None) + 2;
        }
        ffi::lua_pushnil(state);
        1
    }
}

/// Finds a text as it is.
unsafe fn find_plain(state: *mut lua_State, text: &[u8], wanted: &[u8]) -> c_int {
    // SAFETY: as all functions here.
    unsafe {
        let first = start_of(state, text);
        let guards = guards(state);
        let go_on = || guards.go_on();
        let steps = guards.steps(&go_on);
        for (start, part) in text.windows(wanted.len()).enumerate().skip(first) {
            let same = part.iter().zip(wanted).take_while(|(a, b)| a == b).count();
            or_raise(state, steps.take(1 + same / 8));
            if same == wanted.len() {
                ffi::lua_pushnumber(state, (start + 1) as f64);
                ffi::lua_pushnumber(state, (start + same) as f64);
                return 2;
            }
        }
        ffi::lua_pushnil(state);
        1
    }
}

/// Whether a pattern is more than a text.
fn has_special(pattern: &[u8]) -> bool {
    let is_special = |byte: &u8| {
        matches!(
            byte,
            b'^' | b'$' | b'*' | b'+' | b'?' | b'.' | b'(' | b'[' | b'%' | b'-'
        )
    };
    pattern.iter().any(is_special)
}

/// From which byte on a text is looked at, by the third argument: the first is 1, the last is -1.
unsafe fn start_of(state: *mut lua_State, text: &[u8]) -> usize {
    // SAFETY: as all functions here.
    let place = unsafe { ffi::luaL_optinteger(state, 3, 1) };
    let from_end = || text.len().saturating_sub(place.unsigned_abs() as usize);
    let before =
        usize::try_from(place).map_or_else(|_| from_end(), |place| place.saturating_sub(1));
    before.min(text.len())
}

/// Whether a pattern begins where the text is looked at, and what stands behind the sign for that.
fn anchored(pattern: &[u8]) -> (bool, &[u8]) {
    match pattern.strip_prefix(b"^") {
        Some(rest) => (true, rest),
        None => (false, pattern),
    }
}

/// Pushes the captures of a match: all of it if there are none, and it is given.
unsafe fn push_captures(
    state: *mut lua_State,
    matcher: &Matcher<'_, '_>,
    matched: Option<&[u8]>,
) -> c_int {
    // SAFETY: as all functions here. Room is asked for.
    unsafe {
        let count = match matcher.captures() {
            0 => usize::from(matched.is_some()),
            count => count,
        };
        ffi::luaL_checkstack_(state, count as c_int, c"too many captures".as_ptr());
        for index in 0..count {
            push_capture(state, matcher, index, matched.unwrap_or_default());
        }
        count as c_int
    }
}

unsafe fn push_capture(
    state: *mut lua_State,
    matcher: &Matcher<'_, '_>,
    index: usize,
    matched: &[u8],
) {
    // SAFETY: as all functions here. There is room for a value.
    unsafe {
        match or_raise(state, matcher.capture(index, matched)) {
            Captured::Place(place) => ffi::lua_pushnumber(state, (place + 1) as f64),
            Captured::Text(text) => {
                ffi::lua_pushlstring_(state, text.as_ptr().cast(), text.len());
            }
        }
    }
}

/// What came of a match, or an error of Lua.
pub(super) unsafe fn or_raise<T>(state: *mut lua_State, outcome: Result<T, Fault>) -> T {
    let text = match outcome {
        Ok(value) => return value,
        Err(Fault::EndsInEscape) => c"malformed pattern (ends with '%%')",
        Err(Fault::NoEndOfSet) => c"malformed pattern (missing ']')",
        Err(Fault::NoSetOfFrontier) => c"missing '[' after '%%f' in pattern",
        Err(Fault::Unbalanced) => c"unbalanced pattern",
        Err(Fault::NothingToClose) => c"invalid pattern capture",
        Err(Fault::NoSuchCapture) => c"invalid capture index",
        Err(Fault::TooManyCaptures) => c"too many captures",
        Err(Fault::Unclosed) => c"unfinished capture",
        // SAFETY: as all functions here.
        Err(Fault::Ended) => unsafe { end_script(state, guards(state)) },
    };
    // SAFETY: nothing that has a destructor is left when this jumps.
    unsafe { raise(state, text) }
}

unsafe fn raise(state: *mut lua_State, text: &CStr) -> ! {
    // It is a jump, and comes back to nobody.
    loop {
        // SAFETY: as all functions here.
        unsafe { ffi::luaL_error(state, text.as_ptr()) };
    }
}

/// Refuses a pattern in which so many items stand that C's stack could be too small: each of them
/// may be a call in a call.
unsafe fn check_items(state: *mut lua_State, pattern: &[u8]) {
    // One that is short can't have many.
    if pattern.len() > ITEMS_MAX && items(pattern) > ITEMS_MAX {
        // SAFETY: nothing that has a destructor is left when this jumps.
        unsafe { raise(state, c"pattern too complex") }
    }
}

/// How many items of a pattern are repeated, left out or captured. What stands in a set counts too.
fn items(pattern: &[u8]) -> usize {
    let mut count = 0;
    let mut bytes = pattern.iter();
    while let Some(byte) = bytes.next() {
        match byte {
            b'%' => drop(bytes.next()),
            b'*' | b'+' | b'?' | b'-' | b'(' | b')' => count += 1,
            _ => {}
        }
    }
    count
}

/// The text at this place, or an error of Lua.
unsafe fn text_at<'t>(state: *mut lua_State, place: c_int) -> &'t [u8] {
    let mut len = 0;
    // SAFETY: as all functions here. What is read stays on the stack, or with its function.
    unsafe {
        let text = ffi::luaL_checklstring(state, place, &mut len);
        std::slice::from_raw_parts(text.cast(), len)
    }
}

impl Guards {
    /// The steps of all matches of a machine, which are counted together.
    pub(super) fn steps<'s>(&'s self, go_on: &'s dyn Fn() -> bool) -> Steps<'s> {
        Steps {
            left: &self.steps_left,
            at_once: STEPS,
            go_on,
        }
    }

    pub(super) fn go_on(&self) -> bool {
        self.watchdog.look().is_none()
    }
}

/// After how many steps of matches a script looks at its watchdog: some hundred microseconds.
const STEPS: u32 = 20_000;

/// A text that Lua puts together, beside values on its stack.
struct Buffer<'b> {
    inner: *mut ffi::luaL_Buffer,
    place: PhantomData<&'b mut ffi::luaL_Buffer>,
}

impl<'b> Buffer<'b> {
    /// Begins one in a place that it does not leave.
    ///
    /// # Safety
    ///
    /// What is pushed while it is used must be taken off again before something is added.
    unsafe fn begin(
        state: *mut lua_State,
        place: &'b mut MaybeUninit<ffi::luaL_Buffer>,
    ) -> Buffer<'b> {
        let inner = place.as_mut_ptr();
        // SAFETY: this writes what the functions below read.
        unsafe { ffi::luaL_buffinit(state, inner) };
        Buffer {
            inner,
            place: PhantomData,
        }
    }

    fn add(&mut self, text: &[u8]) {
        // SAFETY: it has begun, and the stack is as it was then.
        unsafe { ffi::luaL_addlstring(self.inner, text.as_ptr().cast(), text.len()) }
    }

    /// Adds the text on top of the stack, and takes it off.
    ///
    /// # Safety
    ///
    /// There must be one, and nothing else on what was there.
    unsafe fn add_top(&mut self) {
        // SAFETY: as the caller promises.
        unsafe { ffi::luaL_addvalue(self.inner) }
    }

    /// Pushes the whole text.
    fn push(self) {
        // SAFETY: as `add`.
        unsafe { ffi::luaL_pushresult(self.inner) }
    }
}
