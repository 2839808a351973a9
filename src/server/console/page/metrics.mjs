/**
 * Reads metrics in the text format of Prometheus.
 *
 * @returns a list of `{ name, labels, value }`.
 */
export function parseMetrics(text) {
  const samples = [];
  for (const line of text.split('\n')) {
    const [, name, labelText = '', value] = /^(\w+)(?:\{(.*)\})? (\S+)$/.exec(line) ?? [];
    if (name == null) continue;
    const labels = Object.fromEntries(
      [...labelText.matchAll(/(\w+)="((?:[^"\\]|\\.)*)"/g)].map(([, label, content]) => [label, content]),
    );
    samples.push({ name, labels, value: Number(value) });
  }
  return samples;
}

/** The sum of a metric over all series with these labels; null if there are none. */
export function sumOf(samples, name, labels = {}) {
  const found = samples.filter(
    (sample) =>
      sample.name === name && Object.entries(labels).every(([key, value]) => sample.labels[key] === value),
  );
  return found.length === 0 ? null : found.reduce((sum, { value }) => sum + value, 0);
}

/** Requests of the API by route: count, median and 95th percentile in milliseconds, since the start of the service. */
export function routeLatencies(samples) {
  const name = 'likeness_http_request_duration_seconds';
  const routes = new Map();
  for (const sample of samples) {
    if (sample.name !== `${name}_bucket` || !/\/v1\/(?!models)/.test(sample.labels.route)) continue;
    const route = `${sample.labels.method} ${sample.labels.route}`;
    const buckets = routes.get(route) ?? new Map();
    buckets.set(sample.labels.le, (buckets.get(sample.labels.le) ?? 0) + sample.value);
    routes.set(route, buckets);
  }
  return [...routes].map(([route, buckets]) => {
    const bounds = [...buckets].map(([le, count]) => ({ le: le === '+Inf' ? Infinity : Number(le), count }));
    bounds.sort((a, b) => a.le - b.le);
    return {
      route,
      count: bounds.at(-1).count,
      p50Ms: quantile(bounds, 0.5),
      p95Ms: quantile(bounds, 0.95),
    };
  });
}

/** As `histogram_quantile` of Prometheus: linear within a bucket. In milliseconds. */
function quantile(bounds, share) {
  const rank = share * bounds.at(-1).count;
  const index = bounds.findIndex(({ count }) => count >= rank);
  const { le: lower, count: before } = bounds[index - 1] ?? { le: 0, count: 0 };
  const { le: upper, count } = bounds[index];
  if (upper === Infinity) return lower * 1000;
  return (lower + ((upper - lower) * (rank - before)) / Math.max(1, count - before)) * 1000;
}
