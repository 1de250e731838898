//! Suggests what a misspelt name was meant to be.

/// The one of `known` that `written` was probably meant to be, if any.
#[must_use]
pub fn nearest<'a>(written: &str, known: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    // Long input is not a typing error, and computing the distance is quadratic.
    let written: String = written.chars().take(64).collect::<String>().to_lowercase();
    known
        .into_iter()
        .map(|name| (strsim::damerau_levenshtein(&written, &name.to_lowercase()), name))
        .filter(|(distance, name)| {
            *distance <= (name.chars().count() / 3).max(2) && *distance < name.chars().count()
        })
        .min()
        .map(|(_, name)| name)
}
