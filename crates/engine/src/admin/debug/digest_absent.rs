//! In the place of digests where scripts were not built in: what makes them comes with those.

use crate::command::Call;
use crate::error::{Error, Result};

const ABSENT: &str = "ERR digests were not built in: they come with the feature `lua`";

pub(super) fn digest(_: &mut Call<'_, '_>) -> Result<()> {
    Err(Error::text(ABSENT))
}

pub(super) fn digest_value(_: &mut Call<'_, '_>) -> Result<()> {
    Err(Error::text(ABSENT))
}
