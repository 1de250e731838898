//! Timing of several things against each other: interleaved, in random order, percentiles from raw samples.

use std::time::Instant;

/// One thing to time.
pub(crate) struct Candidate<'c> {
    pub(crate) name: &'static str,
    /// Runs it once; what it gives is checked before anything is timed.
    pub(crate) run: Box<dyn FnMut() -> bool + 'c>,
}

/// Times all candidates `rounds` times, each once in a round, the order of every round drawn anew. Gives nanoseconds for one
/// run, sorted, in the order of the candidates. `runs_per_sample`: how often one runs for a sample; more make a sample long against the
/// clock's reading, but only one shows how slow a slow run is.
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

/// Turns of some candidates, in an order that is drawn anew for every round.
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

/// The sample below which a share of sorted samples lies.
pub(crate) fn percentile(samples: &[f64], share: f64) -> f64 {
    let at = ((samples.len() as f64 * share) as usize).min(samples.len().saturating_sub(1));
    samples.get(at).copied().unwrap_or(f64::NAN)
}

/// The middle of sorted samples.
pub(crate) fn median(samples: &[f64]) -> f64 {
    samples.get(samples.len() / 2).copied().unwrap_or(f64::NAN)
}

/// What this share of sorted samples does not exceed.
pub(crate) fn quantile(samples: &[f64], share: f64) -> f64 {
    let rank = (share * samples.len() as f64).ceil().max(1.0) as usize;
    samples.get(rank - 1).copied().unwrap_or(f64::NAN)
}
