//! Finding the share of covered lines in what a check printed.

/// The share in per cent that the output of a check reports for the whole project, by the summary
/// lines of common tools. `None` where there is none, or several that are not of the whole.
pub(super) fn reported(output: &str) -> Option<f64> {
    let lines = || output.lines().map(str::trim);
    let whole = lines().rev().find_map(of_whole);
    // `go test` says one line for each package; only a single one is the whole.
    let mut packages = lines().filter_map(of_package);
    let single = packages.next().filter(|_| packages.next().is_none());
    whole
        .or(single)
        .filter(|share| (0.0..=100.0).contains(share))
}

fn of_whole(line: &str) -> Option<f64> {
    let lower = line.to_lowercase();
    if line.starts_with("TOTAL") {
        return of_table(line);
    }
    if lower.starts_with("all files") {
        // Statements, branches, functions, lines.
        return line.split('|').nth(4)?.trim().parse().ok();
    }
    let names_lines = [
        "lines:",
        "lines :",
        "lines......:",
        "line coverage:",
        "total:",
    ];
    let squeezed = lower.split_whitespace().collect::<Vec<_>>().join(" ");
    if names_lines.iter().any(|name| squeezed.starts_with(name)) {
        return percents(line).next();
    }
    if lower.contains("% coverage,") && lower.contains("lines covered") {
        return percents(line).next();
    }
    None
}

/// A table's last row. With one share that is it; else the third is that of the lines.
fn of_table(line: &str) -> Option<f64> {
    let shares: Vec<_> = percents(line).collect();
    match shares[..] {
        [only] => Some(only),
        [_, _, lines, ..] => Some(lines),
        [] | [_, _] => None,
    }
}

fn of_package(line: &str) -> Option<f64> {
    let (_, after) = line.split_once("coverage: ")?;
    after
        .contains("% of statements")
        .then(|| percents(after).next())?
}

/// The numbers before a per cent sign, in order.
fn percents(line: &str) -> impl Iterator<Item = f64> {
    let words = line.split(|c: char| c.is_whitespace() || c == '(' || c == ')' || c == '|');
    words.filter_map(|word| {
        word.trim_end_matches([',', '.'])
            .strip_suffix('%')?
            .parse()
            .ok()
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_summaries_of_common_tools_are_understood() {
        for (output, share) in [
            (
                "Name    Stmts   Miss  Cover\na.py  3 1 67%\nTOTAL      120     12    90%",
                90.0,
            ),
            (
                "TOTAL   10  2  80.00%   4  1  75.00%   30  3  90.00%   0  0  -",
                90.0,
            ),
            ("All files |   91.66 |     80 |     100 |   92.3 |", 92.3),
            (
                "Statements   : 88% ( 88/100 )\nBranches : 10% ( 1/10 )\nLines        : 85.71% ( 6/7 )",
                85.71,
            ),
            (
                "ok   example.org/a  0.01s  coverage: 63.2% of statements",
                63.2,
            ),
            (
                "ok a coverage: 10.0% of statements\nok b coverage: 90.0% of statements\ntotal:\t\t(statements)\t55.5%",
                55.5,
            ),
            (
                "|| src/lib.rs: 6/7\n85.71% coverage, 6/7 lines covered, +0.00% change",
                85.71,
            ),
            ("Line Coverage: 95.5% (191 / 200)", 95.5),
            ("  Lines:   75.00% (3/4)", 75.0),
            ("  lines......: 66.7% (2 of 3 lines)", 66.7),
        ] {
            assert_eq!(reported(output), Some(share), "{output}");
        }
    }

    #[test]
    fn what_is_no_summary_reports_nothing() {
        for output in [
            "",
            "12 passed; 0 failed",
            "TOTAL 12 tests",
            "TOTAL 900%",
            "the CPU was at 80%",
            "ok a coverage: 10.0% of statements\nok b coverage: 90.0% of statements",
            "All files are formatted",
            "lines: many",
        ] {
            assert_eq!(reported(output), None, "{output}");
        }
    }
}
