import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { METRICS } from '../../src/server/metrics/metrics';
import { kustomize, readManifests } from '../support/kustomize';
import { parseMetrics, type Sample } from '../support/parse-metrics';
import { rootDir } from '../support/paths';
import { readPromql } from '../support/promql';
import { type RunningService, startService } from '../support/start-service';

/** Labels that Prometheus adds to what it scrapes. */
const TARGET_LABELS = ['job', 'namespace'];

const folder = join(rootDir, 'deploy', 'kubernetes');
const [scaledObject] = readManifests(join(folder, 'components', 'keda', 'scaled-object.yaml'));
const adapter = join(folder, 'components', 'prometheus-adapter');
const [{ externalRules }] = readManifests(join(adapter, 'rules.yaml')) as unknown as {
  externalRules: { seriesQuery: string; metricsQuery: string; name: { as: string } }[];
}[];
const [autoscaler] = readManifests(join(adapter, 'autoscaler.yaml'));
const deployment = kustomize(join(folder, 'overlays', 'replicas')).find(({ kind }) => kind === 'Deployment')!;

/** As the adapter fills it in for the autoscaler. */
function ruleExpression({ seriesQuery, metricsQuery }: (typeof externalRules)[number]): string {
  return metricsQuery
    .replaceAll('<<.Series>>', seriesQuery.slice(0, seriesQuery.indexOf('{')))
    .replaceAll('<<.LabelMatchers>>', 'namespace="default",job="likeness"');
}

const SCALING: [string, string][] = [
  ...scaledObject.spec.triggers.map(
    (trigger: { name: string; metadata: { query: string } }): [string, string] => [
      `scaled-object.yaml, ${trigger.name}`,
      trigger.metadata.query,
    ],
  ),
  ...externalRules.flatMap((rule): [string, string][] => [
    [`rules.yaml, ${rule.name.as}`, ruleExpression(rule)],
    [`rules.yaml, series of ${rule.name.as}`, rule.seriesQuery],
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
