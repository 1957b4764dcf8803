use core::error::Error;
use core::fmt;

/// What went wrong, and what to do.
pub struct Failure {
    text: String,
    is_not_permitted: bool,
}

impl Failure {
    /// With this text.
    #[must_use]
    pub fn new(text: impl Into<String>) -> Self {
        Self {
            text: text.into(),
            is_not_permitted: false,
        }
    }

    /// The kernel does not let this process load any program: with what to do.
    pub(crate) const fn not_permitted(text: String) -> Self {
        Self {
            text,
            is_not_permitted: true,
        }
    }

    /// Whether the kernel does not let this process load any program.
    #[must_use]
    pub const fn is_not_permitted(&self) -> bool {
        self.is_not_permitted
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
        Self::new(text)
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl fmt::Debug for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl Error for Failure {}
