//! Times several candidates against each other: interleaved, in random order, with percentiles from raw
//! samples.

use std::time::Instant;

/// A candidate to time.
pub(crate) struct Candidate<'c> {
    pub(crate) name: &'static str,
    /// Runs it once; its result is checked before anything is timed.
    pub(crate) run: Box<dyn FnMut() -> bool + 'c>,
}

/// Times all candidates for `rounds` rounds, each once per round, in an order that is drawn again for every
/// round. Returns nanoseconds per run, sorted, in the order of the candidates. `runs_per_sample`: the number
/// of runs in a sample. More runs make a sample long compared with reading the clock, but only single runs
/// show how slow a slow run is.
pub(crate) fn interleaved(
    candidates: &mut [Candidate<'_>],
    rounds: usize,
    runs_per_sample: u32,
) -> anyhow::Result<Vec<Vec<f64>>> {
    for candidate in candidates.iter_mut() {
        anyhow::ensure!((candidate.run)(), "`{}` does not give the expected verdict", candidate.name);
        (0..200).for_each(|_| {
            std::hint::black_box((candidate.run)());
        });
    }
    let mut samples: Vec<Vec<f64>> = candidates.iter().map(|_| Vec::with_capacity(rounds)).collect();
    let mut order = Order::of(candidates.len());
    for _ in 0..rounds {
        for at in order.round() {
            let (Some(candidate), Some(samples)) = (candidates.get_mut(*at), samples.get_mut(*at)) else {
                continue;
            };
            let start = Instant::now();
            for _ in 0..runs_per_sample {
                std::hint::black_box((candidate.run)());
            }
            samples.push(start.elapsed().as_nanos() as f64 / f64::from(runs_per_sample));
        }
    }
    samples.iter_mut().for_each(|samples| samples.sort_by(f64::total_cmp));
    Ok(samples)
}

/// The order of the candidates, drawn again for every round.
pub(crate) struct Order {
    turns: Vec<usize>,
    random: u64,
}

impl Order {
    pub(crate) fn of(candidates: usize) -> Self {
        Self { turns: (0..candidates).collect(), random: 0x9e37_79b9_7f4a_7c15 }
    }

    /// The candidates of the next round.
    pub(crate) fn round(&mut self) -> &[usize] {
        let random = &mut self.random;
        self.turns.sort_by_cached_key(|_| {
            *random ^= *random << 13;
            *random ^= *random >> 7;
            *random ^= *random << 17;
            *random
        });
        &self.turns
    }
}

/// The sample below which this share of the sorted samples is.
pub(crate) fn percentile(samples: &[f64], share: f64) -> f64 {
    let at = ((samples.len() as f64 * share) as usize).min(samples.len().saturating_sub(1));
    samples.get(at).copied().unwrap_or(f64::NAN)
}

/// The median of sorted samples.
pub(crate) fn median(samples: &[f64]) -> f64 {
    samples.get(samples.len() / 2).copied().unwrap_or(f64::NAN)
}

/// The value that this share of the sorted samples does not exceed.
pub(crate) fn quantile(samples: &[f64], share: f64) -> f64 {
    let rank = (share * samples.len() as f64).ceil().max(1.0) as usize;
    samples.get(rank - 1).copied().unwrap_or(f64::NAN)
}
