//! A histogram of durations that no request waits for: `prometheus-client`'s own takes a lock.

use std::{
    fmt,
    iter::zip,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
    time::Duration,
};

use prometheus_client::{
    encoding::{EncodeMetric, MetricEncoder, NoLabelSet},
    metrics::{MetricType, TypedMetric},
};

/// Upper bounds in seconds: from a cached answer to the longest default wait for an upstream.
const BOUNDS: [f64; 15] = [
    0.001,
    0.0025,
    0.005,
    0.01,
    0.025,
    0.05,
    0.1,
    0.25,
    0.5,
    1.0,
    2.5,
    5.0,
    10.0,
    30.0,
    f64::INFINITY,
];

/// How often something took how long. Clones are the same histogram.
#[derive(Clone, Debug, Default)]
pub(super) struct Histogram(Arc<Cells>);

#[derive(Debug, Default)]
struct Cells {
    counts: [AtomicU64; BOUNDS.len()],
    micros: AtomicU64,
}

impl Histogram {
    pub(super) fn observe(&self, took: Duration) {
        let seconds = took.as_secs_f64();
        let bucket = BOUNDS.partition_point(|bound| *bound < seconds);
        self.0.counts[bucket].fetch_add(1, Relaxed);
        let micros = u64::try_from(took.as_micros()).unwrap_or(u64::MAX);
        self.0.micros.fetch_add(micros, Relaxed);
    }
}

impl TypedMetric for Histogram {
    const TYPE: MetricType = MetricType::Histogram;
}

impl EncodeMetric for Histogram {
    fn encode(&self, mut encoder: MetricEncoder<'_>) -> fmt::Result {
        let counts = self.0.counts.each_ref().map(|count| count.load(Relaxed));
        let sum = Duration::from_micros(self.0.micros.load(Relaxed)).as_secs_f64();
        let buckets: Vec<_> = zip(BOUNDS, counts).collect();
        // Counted from the buckets, so that the text never contradicts itself.
        let count = counts.iter().sum();
        encoder.encode_histogram::<NoLabelSet>(sum, count, &buckets, None)
    }

    fn metric_type(&self) -> MetricType {
        Self::TYPE
    }
}

#[cfg(test)]
mod tests {
    use prometheus_client::{encoding::text, registry::Registry};

    use super::*;

    #[test]
    fn a_duration_counts_in_its_bucket_and_all_above_it() {
        let histogram = Histogram::default();
        let mut registry = Registry::default();
        registry.register("took", "How long it took", histogram.clone());
        for millis in [0, 1, 2, 30_000, 31_000] {
            histogram.observe(Duration::from_millis(millis));
        }
        let mut page = String::new();
        text::encode(&mut page, &registry).unwrap();
        for line in [
            "took_bucket{le=\"0.001\"} 2",
            "took_bucket{le=\"0.0025\"} 3",
            "took_bucket{le=\"10.0\"} 3",
            "took_bucket{le=\"30.0\"} 4",
            "took_bucket{le=\"+Inf\"} 5",
            "took_count 5",
            "took_sum 61.003",
        ] {
            assert!(page.lines().any(|found| found == line), "{line} is not in\n{page}");
        }
    }
}
