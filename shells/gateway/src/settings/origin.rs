//! Where a setting was given.

/// Where a setting was given. Errors show the setting as it was written there.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Origin<'a> {
    /// `--set`.
    Set,
    /// A flag of its own.
    Flag(&'static str),
    /// A variable of the environment.
    Variable(&'a str),
    /// A line of the file.
    Line { path: &'a str, line: usize },
}

impl Origin<'_> {
    pub(super) fn written(self, key: &str, text: &str) -> String {
        match self {
            Self::Set => format!("--set {key}={text}"),
            Self::Flag(flag) => format!("{flag} {text}"),
            Self::Variable(name) => format!("{name}={text}"),
            Self::Line { path, line } => format!("{path}:{line}: {key} = {text}"),
        }
    }

    /// Where it was given, without the setting.
    pub(super) fn source(self) -> String {
        match self {
            Self::Set => "--set".to_owned(),
            Self::Flag(name) => name.to_owned(),
            Self::Variable(name) => name.to_owned(),
            Self::Line { path, line } => format!("{path}:{line}"),
        }
    }

    /// Without the value.
    pub(super) fn place(self, key: &str) -> String {
        match self {
            Self::Set => format!("--set {key}"),
            Self::Flag(name) => name.to_owned(),
            Self::Variable(name) => name.to_owned(),
            Self::Line { path, line } => format!("{path}:{line}: {key}"),
        }
    }
}
