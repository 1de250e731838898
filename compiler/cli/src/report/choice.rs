//! `--format F [--output FILE]`, repeated: which reports are requested, and where each goes.
//!
//! Written by hand, not derived: which file belongs to which format depends on their order on the command
//! line.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use clap::builder::EnumValueParser;
use clap::error::ErrorKind;
use clap::{Arg, ArgAction, ArgMatches, Command, FromArgMatches, ValueEnum, value_parser};

/// The requested reports, in order.
#[derive(Clone, Debug)]
pub(crate) struct Reports<F>(Vec<(F, Option<PathBuf>)>);

impl<F: Copy> Reports<F> {
    /// Each format with its file; `None` if it is printed.
    pub(crate) fn each(&self) -> impl Iterator<Item = (F, Option<&Path>)> {
        self.0.iter().map(|(format, file)| (*format, file.as_deref()))
    }
}

/// A format that is printed when no other is.
pub(crate) trait Printed {
    /// The format for a person.
    const HUMAN: Self;
}

impl<F: Copy + Printed> Reports<F> {
    /// Pairs formats and files by their position among the arguments.
    fn pair(formats: Vec<(usize, F)>, files: Vec<(usize, PathBuf)>) -> Result<Self, String> {
        let mut names = BTreeSet::new();
        for (_, file) in &files {
            if !names.insert(file.clone()) {
                return Err(format!("two reports go to `{}`", file.display()));
            }
        }
        let mut reports: Vec<(usize, F, Option<PathBuf>)> =
            formats.into_iter().map(|(at, format)| (at, format, None)).collect();
        for (at, file) in files {
            let before = reports.iter_mut().rfind(|(format_at, ..)| *format_at < at);
            let Some((_, _, place)) = before else {
                return Err("`--output FILE` stands after the `--format` that it is for".to_owned());
            };
            if let Some(other) = place.replace(file) {
                return Err(format!(
                    "one `--format` has two files, `{}` first; repeat the format",
                    other.display()
                ));
            }
        }
        let mut reports: Vec<_> = reports.into_iter().map(|(_, format, file)| (format, file)).collect();
        match reports.iter().filter(|(_, file)| file.is_none()).count() {
            // So that a person who watches the run sees something.
            0 => reports.push((F::HUMAN, None)),
            1 => {}
            _ => {
                return Err(
                    "two formats are for standard output; give all but one an `--output FILE`".to_owned()
                );
            }
        }
        Ok(Self(reports))
    }
}

impl<F> FromArgMatches for Reports<F>
where
    F: ValueEnum + Printed + Copy + Send + Sync + 'static,
{
    fn from_arg_matches(matches: &ArgMatches) -> Result<Self, clap::Error> {
        let formats = with_places(matches, "format");
        let files = with_places(matches, "output");
        Self::pair(formats, files)
            .map_err(|message| clap::Error::raw(ErrorKind::ArgumentConflict, format!("{message}\n")))
    }

    fn update_from_arg_matches(&mut self, matches: &ArgMatches) -> Result<(), clap::Error> {
        *self = Self::from_arg_matches(matches)?;
        Ok(())
    }
}

fn with_places<T: Clone + Send + Sync + 'static>(matches: &ArgMatches, name: &str) -> Vec<(usize, T)> {
    let places = matches.indices_of(name).into_iter().flatten();
    let values = matches.get_many::<T>(name).into_iter().flatten().cloned();
    places.zip(values).collect()
}

impl<F> clap::Args for Reports<F>
where
    F: ValueEnum + Printed + Copy + Send + Sync + 'static,
{
    fn augment_args(command: Command) -> Command {
        command
            .arg(
                Arg::new("format")
                    .long("format")
                    .value_name("FORMAT")
                    .action(ArgAction::Append)
                    .value_parser(EnumValueParser::<F>::new())
                    .help("How results are printed; repeat it, each but one with an `--output`, for several reports of one run [default: human]"),
            )
            .arg(
                Arg::new("output")
                    .long("output")
                    .value_name("FILE")
                    .action(ArgAction::Append)
                    .value_parser(value_parser!(PathBuf))
                    .help("Writes the report of the `--format` before it to FILE; what is for a person is printed all the same"),
            )
    }

    fn augment_args_for_update(command: Command) -> Command {
        Self::augment_args(command)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    impl Printed for char {
        const HUMAN: Self = 'h';
    }

    fn pair(formats: &[(usize, char)], files: &[(usize, &str)]) -> Result<String, String> {
        let files = files.iter().map(|(at, file)| (*at, PathBuf::from(file))).collect();
        let reports = Reports::pair(formats.to_vec(), files)?;
        let shown = reports.each().map(|(format, file)| match file {
            Some(file) => format!("{format}>{}", file.display()),
            None => format!("{format}>-"),
        });
        Ok(shown.collect::<Vec<_>>().join(" "))
    }

    #[test]
    fn a_file_belongs_to_the_format_before_it() {
        assert_eq!(pair(&[], &[]).as_deref(), Ok("h>-"));
        assert_eq!(pair(&[(1, 's')], &[]).as_deref(), Ok("s>-"));
        assert_eq!(pair(&[(1, 's')], &[(3, "a")]).as_deref(), Ok("s>a h>-"));
        assert_eq!(
            pair(&[(1, 's'), (5, 'j'), (9, 'g')], &[(3, "a"), (7, "b")]).as_deref(),
            Ok("s>a j>b g>-")
        );
        assert_eq!(pair(&[(1, 's'), (3, 'j')], &[(5, "b")]).as_deref(), Ok("s>- j>b"));
    }

    #[test]
    fn what_would_lose_a_report_is_refused() {
        for (formats, files, says) in [
            (&[(3, 's')][..], &[(1, "a")][..], "stands after"),
            (&[(1, 's')], &[(3, "a"), (5, "b")], "two files"),
            (&[(1, 's'), (3, 'j')], &[], "standard output"),
            (&[(1, 's'), (5, 'j')], &[(3, "a"), (7, "a")], "two reports go to"),
        ] {
            let refused = pair(formats, files).expect_err("it is refused");
            assert!(refused.contains(says), "{refused}");
        }
    }
}
