//! Texts with holes: `{{field}}` stands for what a field is filled with.

/// A part of a text.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Piece<'a> {
    Words(&'a str),
    /// What the field of this name is filled with.
    Hole(&'a str),
}

/// The parts of a text. What stands in braces and cannot be the name of a field is words.
pub(super) fn pieces(text: &str) -> Vec<Piece<'_>> {
    let mut pieces = Vec::new();
    let (mut rest, mut looked) = (text, 0);
    while let Some(found) = rest[looked..].find("{{") {
        let open = looked + found;
        let inside = &rest[open + 2..];
        let (name, after) = inside.split_at(inside.find(['{', '}']).unwrap_or(inside.len()));
        let name = name.trim();
        match after.strip_prefix("}}").filter(|_| is_field_name(name)) {
            Some(after) => {
                pieces.push(Piece::Words(&rest[..open]));
                pieces.push(Piece::Hole(name));
                (rest, looked) = (after, 0);
            }
            None => looked = open + 1,
        }
    }
    pieces.push(Piece::Words(rest));
    pieces
}

/// The fields that a text names, as often as it does.
pub(super) fn holes(text: &str) -> impl Iterator<Item = &str> {
    pieces(text).into_iter().filter_map(|piece| match piece {
        Piece::Words(_) => None,
        Piece::Hole(name) => Some(name),
    })
}

/// The paragraphs of a text, each as its lines.
pub(super) fn paragraphs(text: &str) -> Vec<Vec<&str>> {
    let lines: Vec<_> = text.lines().collect();
    lines
        .split(|line| line.trim().is_empty())
        .filter(|paragraph| !paragraph.is_empty())
        .map(<[&str]>::to_vec)
        .collect()
}

/// Small letters, digits and `_`, beginning with a letter.
pub(super) fn is_field_name(name: &str) -> bool {
    let fits = |letter: char| matches!(letter, 'a'..='z' | '0'..='9' | '_');
    name.len() <= 40
        && name.starts_with(|first: char| first.is_ascii_lowercase())
        && name.chars().all(fits)
}

/// Small letters and digits, joined by single `-`.
pub(super) fn is_slug(name: &str) -> bool {
    let word = |word: &str| {
        !word.is_empty()
            && word
                .chars()
                .all(|letter| matches!(letter, 'a'..='z' | '0'..='9'))
    };
    name.len() <= 40 && name.split('-').all(word)
}

/// Whatever stands on several lines, on one.
pub(super) fn on_one_line(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_can_be_a_field_is_a_hole() {
        let named = |text| holes(text).collect::<Vec<_>>();
        assert_eq!(named("a {{b}} {{ c_1 }}{{d}}"), ["b", "c_1", "d"]);
        assert_eq!(named("{{{x}}}"), ["x"]);
        for words in [
            "{{}}",
            "{{A}}",
            "{{a b}}",
            "{{1}}",
            "${{ secrets.KEY }}",
            "{{x",
            "{ {x}}",
            "{{{{",
        ] {
            assert_eq!(pieces(words), [Piece::Words(words)], "{words}");
        }
        assert_eq!(named("{{a {{b}} c}}"), ["b"]);
        assert_eq!(named("{{é}}{{b}}é"), ["b"]);
    }

    #[test]
    fn a_slug_is_a_plain_name_of_a_file() {
        for good in ["a", "bug-fix", "web-2-app"] {
            assert!(is_slug(good), "{good}");
        }
        for bad in [
            "",
            "-",
            "a-",
            "a--b",
            "A",
            "a_b",
            "a b",
            "../a",
            "a/b",
            "ä",
            &"a".repeat(41),
        ] {
            assert!(!is_slug(bad), "{bad}");
        }
    }
}
