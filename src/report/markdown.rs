//! Markdown for the page of a job: text that cannot become markup, and a page of bounded size.

/// How much of one reason, key or name is shown, in characters.
const LONGEST_TEXT: usize = 600;

/// Text of bounded size.
pub(super) struct Page {
    text: String,
    limit: usize,
}

impl Page {
    /// An empty page that takes `limit` bytes.
    pub(super) fn new(limit: usize) -> Self {
        Self {
            text: String::new(),
            limit,
        }
    }

    /// Adds a block, if all of it fits.
    pub(super) fn add(&mut self, block: &str) -> bool {
        let fits = block.len() <= self.room();
        if fits {
            self.text.push_str(block);
        }
        fits
    }

    /// How many bytes fit yet.
    pub(super) fn room(&self) -> usize {
        self.limit - self.text.len()
    }

    /// The page.
    pub(super) fn into_text(self) -> String {
        self.text
    }
}

/// Something that opens at a click. `title` is no markup.
pub(super) fn details(title: &str, block: &str) -> String {
    format!("<details><summary>{title}</summary>\n\n{block}</details>\n\n")
}

/// `text` as code; nothing if there is none.
pub(super) fn code(text: &str) -> String {
    if text.is_empty() {
        String::new()
    } else {
        format!("<code>{}</code>", plain(text))
    }
}

/// `text` as it is, but for what stands between back quotes: that is code.
pub(super) fn with_code(text: &str) -> String {
    let pieces = text.split('`').enumerate();
    pieces
        .map(|(number, piece)| match number % 2 {
            1 => code(piece),
            // Blanks around code stay.
            _ => escape(piece, LONGEST_TEXT),
        })
        .collect()
}

/// `text` as it is, whatever Markdown or HTML would make of it: on one line, and of bounded length.
pub(super) fn plain(text: &str) -> String {
    escape(text.trim(), LONGEST_TEXT)
}

fn escape(text: &str, longest: usize) -> String {
    let mut escaped = String::with_capacity(text.len());
    for (number, character) in text.chars().enumerate() {
        if number == longest {
            escaped.push('…');
            break;
        }
        match character {
            '&' => escaped.push_str("&amp;"),
            '<' => escaped.push_str("&lt;"),
            '>' => escaped.push_str("&gt;"),
            '\\' | '`' | '*' | '_' | '[' | ']' | '|' | '~' | '$' | '#' | '!' => {
                escaped.push('\\');
                escaped.push(character);
            }
            character if character.is_control() => escaped.push(' '),
            character => escaped.push(character),
        }
    }
    escaped
}
