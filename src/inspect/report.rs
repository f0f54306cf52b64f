//! What a comparison of two modules found. How they are compared is not known here.

use std::fmt;

/// Something in which an output differs from a build.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Difference {
    /// What differs, by kind and name.
    pub what: String,
    /// How it differs: the output first, then the build.
    pub how: String,
}

impl fmt::Display for Difference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.what, self.how)
    }
}

/// What a comparison found.
#[derive(Debug, Clone, Default)]
#[non_exhaustive]
pub struct Report {
    /// All differences; none if the output is equivalent.
    pub differences: Vec<Difference>,
    /// Declarations that were found to be the same.
    pub equal: u32,
    /// Compilation units of debug information that were found to say the same.
    pub debug_units: u32,
    /// Declarations of the build that nothing reaches and that a dense output may do without.
    pub left_out: u32,
}

impl Report {
    /// Whether the output is equivalent to the build.
    pub fn is_clean(&self) -> bool {
        self.differences.is_empty()
    }
}
