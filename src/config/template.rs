//! The documented configuration that `rosterd init` writes and packages ship: every key, in plain sentences.

/// The text of `config/rosterd.toml`. A line that begins with `#` and no space after it is a setting, commented out.
pub const TEMPLATE: &str = include_str!("../../config/rosterd.toml");

/// The template with every setting in use; where the file offers a choice, with both.
#[cfg(test)]
pub(crate) fn uncommented() -> String {
    let settings = |line: &'static str| match line.strip_prefix('#') {
        Some(setting) if !setting.is_empty() && !setting.starts_with(' ') => setting,
        _ => line,
    };
    TEMPLATE.lines().flat_map(|line| [settings(line), "\n"]).collect()
}
