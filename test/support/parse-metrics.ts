/** One line of a scrape. */
export interface Sample {
  name: string;
  labels: Record<string, string>;
  value: number;
}

/** Metrics in the text format of Prometheus: type, help and samples by name of the metric. */
export type ParsedMetrics = Map<string, { type: string; help: string; samples: Sample[] }>;

/**
 * Reads what a scrape answers, strictly: a line that is neither a comment nor a sample of the metric announced last
 * throws, and so does a second announcement.
 */
export function parseMetrics(text: string): ParsedMetrics {
  const metrics: ParsedMetrics = new Map();
  let current = '';
  for (const line of text.split('\n').filter((line) => line !== '')) {
    const help = /^# HELP (\w+) (.+)$/.exec(line);
    const type = /^# TYPE (\w+) (counter|gauge|histogram|summary)$/.exec(line);
    const sample = /^(\w+?)(_bucket|_sum|_count)?(?:\{(.*)\})? (\S+)$/.exec(line);
    if (help != null) {
      current = help[1];
      if (metrics.has(current)) throw new Error(`Announced twice: ${current}`);
      metrics.set(current, { type: '', help: help[2], samples: [] });
    } else if (type?.[1] === current) {
      metric().type = type[2];
    } else if (sample != null && (sample[1] === current || `${sample[1]}${sample[2]}` === current)) {
      const value = sample[4] === '+Inf' ? Infinity : Number(sample[4]);
      if (Number.isNaN(value)) throw new Error(`No number: ${line}`);
      metric().samples.push({ name: sample[1] + (sample[2] ?? ''), labels: labelsOf(sample[3]), value });
    } else {
      throw new Error(`Not in the text format of Prometheus: ${line}`);
    }
  }
  return metrics;

  function metric() {
    return metrics.get(current) as { type: string; help: string; samples: Sample[] };
  }
}

/** Value of the sample with these labels; undefined where there is none. */
export function valueOf(
  metrics: ParsedMetrics,
  name: string,
  labels: Record<string, string> = {},
): number | undefined {
  const base = metrics.has(name) ? name : name.replace(/_(bucket|sum|count)$/, '');
  return metrics
    .get(base)
    ?.samples.find(
      (sample) =>
        sample.name === name &&
        Object.keys(sample.labels).length === Object.keys(labels).length &&
        Object.entries(labels).every(([label, value]) => sample.labels[label] === value),
    )?.value;
}

function labelsOf(text = ''): Record<string, string> {
  return Object.fromEntries([...text.matchAll(/(\w+)="([^"]*)"/g)].map(([, name, value]) => [name, value]));
}
