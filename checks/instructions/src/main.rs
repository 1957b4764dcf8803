//! Judges what gungraun counted. Its own hard limits are of gross counts; those of bounds.txt are net
//! of a job with the same signature that does nothing. And some jobs must take the same, or not more
//! than so many times another, which no limit can say.
//!
//!   ipencap-instructions RUSTC COUNTS PLANTED            judges the counts, and the planted ones
//!   ipencap-instructions RUSTC COUNTS PLANTED record     writes the counts into bounds.txt before
//!
//! COUNTS and PLANTED are gungraun's summaries, one JSON object a line.

use std::collections::{BTreeMap, BTreeSet};
use std::error::Error;
use std::fmt::Write;
use std::process::ExitCode;
use std::{env, fs};

use serde_json::Value;

const BOUNDS: &str = "bounds.txt";

type Counts = BTreeMap<String, u64>;

/// What a job may cost.
#[derive(Clone)]
struct Job {
    name: String,
    without: String,
    goal: Option<u64>,
    bound: Option<u64>,
    record: Option<u64>,
}

/// How many times another job a job may cost, or some others together, in per cent.
#[derive(Clone)]
struct Times {
    name: String,
    goal: u64,
    bound: u64,
    others: Vec<String>,
}

#[derive(Clone, Default)]
struct Bounds {
    rustc: String,
    jobs: Vec<Job>,
    times: Vec<Times>,
    equal: Vec<Vec<String>>,
}

/// One line of bounds.txt.
enum Line {
    Rustc(String),
    Comment,
    Equal(Vec<String>),
    Times(Times),
    Job(Job),
}

impl Line {
    fn parse(line: &str) -> Result<Self, Box<dyn Error>> {
        if let Some(rustc) = line.strip_prefix("# rustc ") {
            return Ok(Self::Rustc(rustc.into()));
        }
        if line.is_empty() || line.starts_with('#') {
            return Ok(Self::Comment);
        }
        let fields: Vec<_> = line.split_whitespace().collect();
        let limit = |field: &str| (field != "-").then(|| field.parse()).transpose();
        Ok(match fields[..] {
            ["equal", ref names @ ..] if names.len() > 1 => {
                Self::Equal(names.iter().map(ToString::to_string).collect())
            }
            ["times", name, goal, bound, ref others @ ..] if !others.is_empty() => {
                Self::Times(Times {
                    name: name.into(),
                    goal: goal.parse()?,
                    bound: bound.parse()?,
                    others: others.iter().map(ToString::to_string).collect(),
                })
            }
            [name, without, goal, bound, record] => Self::Job(Job {
                name: name.into(),
                without: without.into(),
                goal: limit(goal)?,
                bound: limit(bound)?,
                record: limit(record)?,
            }),
            _ => return Err(format!("{BOUNDS}: what does this mean? {line}").into()),
        })
    }
}

impl Bounds {
    fn parse(text: &str) -> Result<Self, Box<dyn Error>> {
        let mut bounds = Self::default();
        for line in text.lines() {
            match Line::parse(line)? {
                Line::Rustc(rustc) => bounds.rustc = rustc,
                Line::Comment => {}
                Line::Equal(names) => bounds.equal.push(names),
                Line::Times(times) => bounds.times.push(times),
                Line::Job(job) => bounds.jobs.push(job),
            }
        }
        Ok(bounds)
    }

    /// The same jobs, none of which may take 5 % more than in `counts`.
    fn of_counts(&self, counts: &Counts) -> Result<Self, Box<dyn Error>> {
        let mut bounds = self.clone();
        for job in &mut bounds.jobs {
            let net = job.net(counts)?;
            (job.bound, job.record) = (Some(net * 105 / 100), Some(net));
        }
        Ok(bounds)
    }

    /// A line for each job, and which limits are broken.
    fn judge(
        &self,
        counts: &Counts,
        rustc: &str,
    ) -> Result<(String, BTreeSet<String>), Box<dyn Error>> {
        let (mut table, mut broken) = (String::new(), BTreeSet::new());
        for job in &self.jobs {
            let net = job.net(counts)?;
            let record = job.record.filter(|_| self.rustc == rustc);
            let mut verdict = "ok";
            if job.goal.is_some_and(|goal| net > goal) {
                verdict = "goal missed";
            }
            if record.is_some_and(|record| net * 100 > record * 105) {
                verdict = "OVER ITS RECORD";
                broken.insert(format!("{} is over its record", job.name));
            }
            if job.bound.is_some_and(|bound| net > bound) {
                verdict = "OVER ITS BOUND";
                broken.insert(format!("{} is over its bound", job.name));
            }
            let [goal, bound, record] = [job.goal, job.bound, job.record].map(shown);
            writeln!(
                table,
                "{:<33} {net:>5}  goal {goal:>4}  bound {bound:>4}  record {record:>4}  {verdict}",
                job.name
            )?;
        }
        for times in &self.times {
            let Times {
                name, goal, bound, ..
            } = times;
            let per_cent = self.per_cent(times, counts)?;
            let mut verdict = "ok";
            if per_cent > *goal {
                verdict = "goal missed";
            }
            if per_cent > *bound {
                verdict = "OVER ITS BOUND";
                broken.insert(format!("{name} is too many times {:?}", times.others));
            }
            writeln!(
                table,
                "{name:<33} {per_cent:>4}%  goal {goal:>3}%  bound {bound:>3}%  of {}  {verdict}",
                times.others.join(" and ")
            )?;
        }
        for names in &self.equal {
            let of = |name: &String| counts.get(name).ok_or(format!("{name} was not counted"));
            let different = names.iter().map(of).collect::<Result<BTreeSet<_>, _>>()?;
            let names = names.join(", ");
            if different.len() > 1 {
                writeln!(table, "NOT EQUAL: {names}")?;
                broken.insert(format!("{names} are not equal"));
            } else {
                writeln!(table, "equal: {names}")?;
            }
        }
        if self.rustc != rustc {
            writeln!(
                table,
                "(recorded with rustc {}: only the bounds are judged)",
                self.rustc
            )?;
        }
        Ok((table, broken))
    }

    fn net(&self, name: &str, counts: &Counts) -> Result<u64, Box<dyn Error>> {
        let job = self.jobs.iter().find(|job| job.name == name);
        job.ok_or(format!("{name} has no bounds"))?.net(counts)
    }

    fn per_cent(&self, times: &Times, counts: &Counts) -> Result<u64, Box<dyn Error>> {
        let mut others = 0;
        for other in &times.others {
            others += self.net(other, counts)?;
        }
        Ok((self.net(&times.name, counts)? * 100).div_ceil(others))
    }

    /// A count that nobody judges is a mistake.
    fn unknown<'c>(&self, counts: &'c Counts) -> Vec<&'c String> {
        let knows = |name: &String| {
            self.jobs
                .iter()
                .any(|job| [&job.name, &job.without].contains(&name))
        };
        counts.keys().filter(|name| !knows(name)).collect()
    }
}

impl Job {
    fn net(&self, counts: &Counts) -> Result<u64, Box<dyn Error>> {
        let of = |name: &String| counts.get(name).ok_or(format!("{name} was not counted"));
        let (gross, empty) = (of(&self.name)?, of(&self.without)?);
        Ok(gross
            .checked_sub(*empty)
            .ok_or(format!("{} takes less than {}", self.name, self.without))?)
    }
}

fn shown(limit: Option<u64>) -> String {
    limit.map_or("-".into(), |limit| limit.to_string())
}

/// The counts by `function::id`.
fn read_counts(path: &str) -> Result<Counts, Box<dyn Error>> {
    let mut counts = Counts::new();
    for line in fs::read_to_string(path)?.lines() {
        let summary: Value = serde_json::from_str(line)?;
        let text = |key: &str| summary[key].as_str().ok_or(format!("{path}: no {key}"));
        let count =
            summary["profiles"][0]["data"]["total"]["metrics"]["Ir"]["values"]["new"].as_u64();
        let name = format!("{}::{}", text("function_name")?, text("id")?);
        counts.insert(name, count.ok_or(format!("{path}: no count"))?);
    }
    Ok(counts)
}

/// The text of bounds.txt with these counts as its records.
fn recorded(text: &str, counts: &Counts, rustc: &str) -> Result<String, Box<dyn Error>> {
    let mut new = String::new();
    for line in text.lines() {
        new += &match Line::parse(line)? {
            Line::Rustc(_) => format!("# rustc {rustc}"),
            Line::Comment | Line::Equal(_) | Line::Times(_) => line.into(),
            Line::Job(job) => format!(
                "{:<33} {:<28} {:>5} {:>6} {:>7}",
                job.name,
                job.without,
                shown(job.goal),
                shown(job.bound),
                job.net(counts)?
            ),
        };
        new.push('\n');
    }
    Ok(new)
}

fn main() -> Result<ExitCode, Box<dyn Error>> {
    let arguments: Vec<String> = env::args().skip(1).collect();
    let [rustc, counts, planted, rest @ ..] = &arguments[..] else {
        return Err("RUSTC COUNTS PLANTED [record]".into());
    };
    let (counts, planted) = (read_counts(counts)?, read_counts(planted)?);
    let mut text = fs::read_to_string(BOUNDS)?;
    if rest == ["record"] {
        text = recorded(&text, &counts, rustc)?;
        fs::write(BOUNDS, &text)?;
    }

    let bounds = Bounds::parse(&text)?;
    let (table, mut failures) = bounds.judge(&counts, rustc)?;
    print!("{table}");
    failures.extend(
        bounds
            .unknown(&counts)
            .iter()
            .map(|name| format!("{name} has no bounds")),
    );

    // The control: what some jobs do too much, against what they did just now.
    let control = Bounds {
        rustc: rustc.clone(),
        ..bounds.of_counts(&counts)?
    };
    let (_, noticed) = control.judge(&planted, rustc)?;
    for expected in [
        "array_4::ipip is over its bound",
        "array_4::ipip is over its record",
        "fou::offload_64, fou::offload_1400, fou::offload_9000, fou::offload_60000 are not equal",
    ] {
        if noticed.contains(expected) {
            println!("control: {expected}");
        } else {
            failures.insert(format!("the control did not notice: {expected}"));
        }
    }

    for failure in &failures {
        println!("FAILED: {failure}");
    }
    Ok(if failures.is_empty() {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    })
}
