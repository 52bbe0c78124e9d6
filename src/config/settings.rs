//! The table of settings, from which `--help`, the documentation and the defaults are made.

use std::sync::LazyLock;

/// What every variable's name starts with.
pub(super) const PREFIX: &str = "VESTIBULE_";

/// Ends the name of a variable that holds the path of a file with the value.
pub(super) const FILE: &str = "_FILE";

/// One thing that can be configured.
#[derive(Clone, Debug)]
pub struct Setting {
    /// `LISTEN`: the variable without `VESTIBULE_`.
    pub name: &'static str,
    /// What a value looks like: `ADDR:PORT`.
    pub value: &'static str,
    /// A value, or words.
    pub default: &'static str,
    /// What it does, what is accepted, and the reason for the default.
    pub help: String,
    /// Never printed, and never read from a flag, which every user of the machine can see.
    pub secret: bool,
}

/// Every setting, in the order in which the help shows them.
pub static SETTINGS: LazyLock<Vec<Setting>> = LazyLock::new(|| {
    include_str!("settings.txt").split("\n\n").filter_map(Setting::from_paragraph).collect()
});

impl Setting {
    /// `None` for the paragraph that is no setting: the comment at the head of the file.
    fn from_paragraph(paragraph: &'static str) -> Option<Self> {
        let (head, help) = paragraph.split_once('\n')?;
        let (head, default) = head.split_once(" = ")?;
        let (name, value) = head.split_once(' ')?;
        let secret = value.strip_suffix(" (secret)");
        let help = help.split_whitespace().collect::<Vec<_>>().join(" ");
        Some(Self { name, value: secret.unwrap_or(value), default, help, secret: secret.is_some() })
    }

    pub(super) fn find(name: &str) -> Option<&'static Self> {
        SETTINGS.iter().find(|setting| setting.name == name)
    }

    /// `VESTIBULE_LISTEN`.
    pub fn variable(&self) -> String {
        format!("{PREFIX}{}", self.name)
    }

    /// `--listen`; secrets have none.
    pub fn flag(&self) -> Option<String> {
        let words = self.name.to_lowercase().replace('_', "-");
        (!self.secret).then(|| format!("--{words}"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_setting_names_its_variable_and_its_flag() {
        assert_eq!(SETTINGS[0].variable(), "VESTIBULE_LISTEN");
        assert_eq!(SETTINGS[0].flag().unwrap(), "--listen");
        assert_eq!(SETTINGS[1].flag().unwrap(), "--base-url");
    }

    #[test]
    fn secrets_have_no_flag() {
        let secrets: Vec<_> = SETTINGS.iter().filter(|setting| setting.secret).collect();
        let names: Vec<_> = secrets.iter().map(|setting| setting.name).collect();
        assert_eq!(names, ["DATABASE_URL", "SMTP_URL", "SECRET"]);
        assert!(secrets.iter().all(|setting| setting.flag().is_none()));
    }

    #[test]
    fn names_are_unique_and_none_ends_like_a_file_variable() {
        for (index, setting) in SETTINGS.iter().enumerate() {
            assert!(!setting.name.ends_with(FILE), "{}", setting.name);
            assert!(setting.help.ends_with('.'), "{}", setting.name);
            let later = &SETTINGS[index + 1..];
            assert!(later.iter().all(|other| other.name != setting.name));
        }
    }
}
