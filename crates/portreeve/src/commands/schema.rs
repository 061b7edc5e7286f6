//! `portreeve schema --page FILE`: the tables of the configuration's page of the documentation, made from the keys themselves.

use super::{CommandError, Exit};
use crate::config;
use std::{fs, path::Path};

/// Makes the tables of a page anew.
///
/// # Errors
/// It could not be done; the error has the exit code.
pub fn renew(page: &Path) -> Result<Exit, CommandError> {
    let failed = |error: std::io::Error| CommandError::new(Exit::Failed, page.display().to_string(), error);
    let text = fs::read_to_string(page).map_err(failed)?;
    let made = config::page(&text).map_err(|why| CommandError::plain(Exit::Failed, why))?;
    fs::write(page, made).map_err(failed)?;
    Ok(Exit::Done)
}
