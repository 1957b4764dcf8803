use core::error::Error;
use core::fmt;

/// What went wrong, and what to do.
pub struct Failure(String);

impl Failure {
    /// With this text.
    #[must_use]
    pub fn new(text: impl Into<String>) -> Self {
        Self(text.into())
    }

    /// Of an error, with all that lies behind it.
    #[must_use]
    pub fn of(what: impl fmt::Display, error: &dyn Error) -> Self {
        let mut text = format!("{what}: {error}");
        let mut source = error.source();
        while let Some(error) = source {
            let cause = error.to_string();
            if !text.contains(&cause) {
                text = format!("{text}: {cause}");
            }
            source = error.source();
        }
        Self(text)
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl Error for Failure {}
