//! Texts as C takes them.

/// What C takes for a text: it ends at a zero.
pub(crate) fn c_text(text: &[u8]) -> &[u8] {
    text.split(|byte| *byte == 0).next().unwrap_or_default()
}

/// The first line of a text, if that has an end before a zero.
#[cfg(feature = "lua")]
pub(crate) fn first_line(text: &[u8]) -> Option<&[u8]> {
    let text = c_text(text);
    let len = text.iter().position(|byte| *byte == b'\n')?;
    Some(&text[..len])
}
