import { context, type HrTime, SpanStatusCode, trace } from '@opentelemetry/api';
import { AsyncLocalStorageContextManager } from '@opentelemetry/context-async-hooks';
import {
  AlwaysOffSampler,
  InMemorySpanExporter,
  type ReadableSpan,
  type Sampler,
  SimpleSpanProcessor,
  TracerProvider,
} from '@opentelemetry/sdk-trace';
import { setTimeout as sleep } from 'node:timers/promises';
import type { ImageEvent } from './face.options';
import { traceImage } from './trace-image';

const startedAt = 1_750_000_000_000;
const timings = {
  queueMs: 4,
  decodeMs: 6,
  detectMs: 40,
  alignMs: 1.5,
  embedMs: 30,
  attributesMs: 0,
  presentationAttackMs: 0,
};
const image: ImageEvent = {
  task: 'represent',
  detector: 'rfb-320',
  embedder: 'mobilefacenet-512',
  outcome: 'ok',
  totalMs: 100,
  timings,
  faceCount: 2,
};

/** Milliseconds after `startedAt`. */
const offset = ([seconds, nanoseconds]: HrTime) => (seconds - startedAt / 1000) * 1000 + nanoseconds / 1e6;
const times = ({ name, startTime, endTime }: ReadableSpan) => [name, offset(startTime), offset(endTime)];

describe('traceImage', () => {
  const exporter = new InMemorySpanExporter();

  function register(sampler?: Sampler): void {
    const spanProcessors = [new SimpleSpanProcessor({ exporter })];
    trace.setGlobalTracerProvider(new TracerProvider({ spanProcessors, sampler }));
    context.setGlobalContextManager(new AsyncLocalStorageContextManager().enable());
  }

  afterEach(() => {
    jest.restoreAllMocks();
    exporter.reset();
    trace.disable();
    context.disable();
  });

  const imageSpan = () =>
    exporter.getFinishedSpans().find(({ name }) => name === 'likeness.image') as ReadableSpan;
  const stageSpans = () => exporter.getFinishedSpans().filter(({ name }) => name !== 'likeness.image');

  it('makes a span of the image and one of each stage that ran, one after the other', () => {
    register();
    traceImage(image, startedAt);
    expect(times(imageSpan())).toEqual(['likeness.image', 0, 100]);
    expect(stageSpans().map(times)).toEqual([
      ['queue', 0, 4],
      ['decode', 4, 10],
      ['detect', 10, 50],
      ['align', 50, 51.5],
      ['embed', 51.5, 81.5],
    ]);
    for (const stage of stageSpans()) {
      expect(stage.parentSpanContext?.spanId).toBe(imageSpan().spanContext().spanId);
      expect(stage.spanContext().traceId).toBe(imageSpan().spanContext().traceId);
    }
  });

  it('says what the image was asked for and what became of it, and nothing else', () => {
    register();
    traceImage(image, startedAt);
    expect(imageSpan().attributes).toEqual({
      'likeness.task': 'represent',
      'likeness.detector': 'rfb-320',
      'likeness.embedder': 'mobilefacenet-512',
      'likeness.outcome': 'ok',
      'likeness.face_count': 2,
    });
    expect(imageSpan().status).toEqual({ code: SpanStatusCode.UNSET });
    expect(stageSpans().map(({ attributes }) => attributes)).toEqual(stageSpans().map(() => ({})));
  });

  it('is a child of the span that is active where the call was made', async () => {
    register();
    const tracer = trace.getTracer('caller');
    const call = (name: string) =>
      tracer.startActiveSpan(name, async (span) => {
        await sleep(5);
        traceImage({ ...image, task: 'detect', embedder: null, timings: null, detector: name }, startedAt);
        span.end();
        return span.spanContext();
      });
    for (const [name, caller] of await Promise.all(
      ['first', 'second'].map(async (name) => [name, await call(name)] as const),
    )) {
      const span = exporter
        .getFinishedSpans()
        .find(({ attributes }) => attributes['likeness.detector'] === name);
      expect(span?.parentSpanContext?.spanId).toBe(caller.spanId);
      expect(span?.spanContext().traceId).toBe(caller.traceId);
      expect(span?.attributes).not.toHaveProperty('likeness.embedder');
    }
  });

  it('is the root of a trace of its own where no span is active', () => {
    register();
    traceImage(image, startedAt);
    expect(imageSpan().parentSpanContext).toBeUndefined();
  });

  it('marks an image that failed with the code', () => {
    register();
    traceImage({ ...image, outcome: 'IMAGE_CORRUPT', timings: null, faceCount: 0 }, startedAt);
    expect(imageSpan().status).toEqual({ code: SpanStatusCode.ERROR, message: 'IMAGE_CORRUPT' });
    expect(imageSpan().attributes['likeness.outcome']).toBe('IMAGE_CORRUPT');
    expect(stageSpans()).toEqual([]);
  });

  it.each([
    ['hit', 0],
    ['shared', 0],
    ['miss', 5],
  ] as const)('says that the cache had a %s, with %i stages', (cache, stages) => {
    register();
    traceImage({ ...image, timings: { ...timings, cache } }, startedAt);
    expect(imageSpan().attributes['likeness.cache']).toBe(cache);
    expect(stageSpans()).toHaveLength(stages);
  });

  it('makes nothing without an SDK', () => {
    const setSpan = jest.spyOn(trace, 'setSpan');
    expect(() => traceImage(image, startedAt)).not.toThrow();
    expect(setSpan).not.toHaveBeenCalled();
    expect(exporter.getFinishedSpans()).toEqual([]);
  });

  it('makes nothing of what is not sampled', () => {
    register(new AlwaysOffSampler());
    const setSpan = jest.spyOn(trace, 'setSpan');
    traceImage(image, startedAt);
    expect(setSpan).not.toHaveBeenCalled();
    expect(exporter.getFinishedSpans()).toEqual([]);
  });
});
