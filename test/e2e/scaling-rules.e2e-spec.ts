import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { loadAll } from 'js-yaml';
import { loadAppConfig } from '../../src/server/config/load-app-config';
import { METRICS } from '../../src/server/metrics/metrics';
import { parseMetrics, type Sample } from '../support/parse-metrics';
import { rootDir } from '../support/paths';
import { readPromql } from '../support/promql';
import { type RunningService, startService } from '../support/start-service';

/** Labels that Prometheus adds to what it scrapes. */
const TARGET_LABELS = ['job', 'namespace'];

// eslint-disable-next-line @typescript-eslint/no-explicit-any
const manifests = (file: string): any[] =>
  loadAll(readFileSync(join(rootDir, 'deploy', 'kubernetes', file), 'utf8'));

const [deployment, balancer] = manifests('likeness.yaml');
const [scaledObject] = manifests('keda.yaml');
const [{ externalRules }] = manifests('prometheus-adapter.yaml') as {
  externalRules: { seriesQuery: string; metricsQuery: string; name: { as: string } }[];
}[];
const [autoscaler] = manifests('autoscaler.yaml');

/** As the adapter fills it in for the autoscaler. */
function ruleExpression({ seriesQuery, metricsQuery }: (typeof externalRules)[number]): string {
  return metricsQuery
    .replaceAll('<<.Series>>', seriesQuery.slice(0, seriesQuery.indexOf('{')))
    .replaceAll('<<.LabelMatchers>>', 'namespace="default",job="likeness"');
}

const SCALING: [string, string][] = [
  ...scaledObject.spec.triggers.map(
    (trigger: { name: string; metadata: { query: string } }): [string, string] => [
      `keda.yaml, ${trigger.name}`,
      trigger.metadata.query,
    ],
  ),
  ...externalRules.flatMap((rule): [string, string][] => [
    [`prometheus-adapter.yaml, ${rule.name.as}`, ruleExpression(rule)],
    [`prometheus-adapter.yaml, series of ${rule.name.as}`, rule.seriesQuery],
  ]),
];

describe('rules by which replicas are scaled', () => {
  let service: RunningService;
  let samples: Sample[];

  beforeAll(async () => {
    service = await startService({ HOST: '127.0.0.1', FACE_FEATURES: 'detect', FACE_WORKER_COUNT: '1' });
    const photo = join(rootDir, 'node_modules', '@vladmandic', 'face-api', 'demo', 'sample1.jpg');
    const body = new FormData();
    body.append('image', new Blob([new Uint8Array(readFileSync(photo))]), 'photo.jpg');
    expect((await fetch(`${service.url}/v1/detect`, { method: 'POST', body })).status).toBe(200);
    const metrics = parseMetrics(await (await fetch(`${service.url}/metrics`)).text());
    samples = [...metrics.values()].flatMap((metric) => metric.samples);
  });
  afterAll(() => service?.stop());

  it.each(SCALING)('read what the service shows: %s', (_name, expression) => {
    const { selectors, groupedBy } = readPromql(expression);
    expect(selectors.length).toBeGreaterThan(0);
    for (const { metric, matchers } of selectors) {
      const shown = samples.filter(({ name }) => name === metric);
      for (const { label, isNegative, values } of matchers) {
        if (TARGET_LABELS.includes(label)) continue;
        const wanted = isNegative ? [] : values;
        expect([metric, label, shown.map(({ labels }) => labels[label])]).toEqual([
          metric,
          label,
          expect.arrayContaining(wanted),
        ]);
      }
      expect([metric, shown.length > 0]).toEqual([metric, true]);
      for (const label of groupedBy) {
        expect([metric, label, shown.some(({ labels }) => label in labels)]).toEqual([
          metric,
          label,
          metric.endsWith('_bucket'),
        ]);
      }
    }
  });

  it('are those that the autoscaler asks for, of the deployment that is there', () => {
    const asked = autoscaler.spec.metrics.map(
      ({ external }: { external: { metric: { name: string } } }) => external.metric.name,
    );
    expect(asked).toEqual(externalRules.map(({ name }) => name.as));
    const { name } = deployment.metadata;
    expect([scaledObject, autoscaler].map(({ spec }) => spec.scaleTargetRef.name)).toEqual([name, name]);
    expect(balancer.spec.selector).toEqual(deployment.spec.template.metadata.labels);
  });

  it('scale a deployment whose settings the service takes, and which has the time to end', async () => {
    const { terminationGracePeriodSeconds, containers } = deployment.spec.template.spec;
    const [{ env, ports, startupProbe, readinessProbe, livenessProbe }] = containers;
    const config = loadAppConfig(
      Object.fromEntries(env.map((entry: { name: string; value: string }) => [entry.name, entry.value])),
    );
    expect(ports.map(({ containerPort }: { containerPort: number }) => containerPort)).toEqual([
      config.port,
      config.healthPort,
    ]);
    const neededMs = config.shutdownDelayMs + config.face.requestTimeoutMs;
    expect(terminationGracePeriodSeconds * 1000).toBeGreaterThan(neededMs);
    // The probe notices before the service stops serving.
    const { periodSeconds, failureThreshold } = readinessProbe;
    expect(periodSeconds * failureThreshold * 1000).toBeLessThan(config.shutdownDelayMs);
    for (const { httpGet } of [startupProbe, readinessProbe, livenessProbe])
      expect((await fetch(service.url + httpGet.path)).status).toBe(200);
  });
});

describe('queries of docs/operations.md', () => {
  const text = readFileSync(join(rootDir, 'docs', 'operations.md'), 'utf8');
  const section = text.slice(text.indexOf('### What to alert on'), text.indexOf('## Traces'));
  const queries = [...section.matchAll(/`([^`]*likeness_[^`]*)`/g)].map(([, query]) => query);

  it('are there', () => expect(queries.length).toBeGreaterThan(5));

  it.each(queries)('%s reads metrics and labels of the table', (query) => {
    const { selectors, groupedBy } = readPromql(query);
    for (const { metric, matchers } of selectors) {
      if (metric === 'up') continue;
      const { labels } = METRICS[metric.replace(/_(bucket|sum|count)$/, '') as keyof typeof METRICS];
      const used = [...matchers.map(({ label }) => label), ...groupedBy.filter((label) => label !== 'le')];
      expect(labels).toEqual(expect.arrayContaining(used));
    }
  });
});
