import { context, type Span, SpanStatusCode, trace } from '@opentelemetry/api';
import { STAGES, type StageTimings } from '../pipeline/face.types';
import type { ImageEvent } from './face.options';

/**
 * Tells OpenTelemetry what became of an image: a span `likeness.image`, child of the one that is active in the
 * asynchronous context of the call, and under it a span for each stage that ran. Made afterwards, with the times that were
 * measured. Holds no image and no embedding.
 *
 * Where the process has registered no SDK, or it does not sample the image, that is found out at once and nothing is made.
 *
 * @param startedAt - milliseconds since the epoch, fractions included, at the call.
 */
export function traceImage(event: ImageEvent, startedAt: number): void {
  const { task, detector, embedder, outcome, faceCount, timings, totalMs } = event;
  const span = trace.getTracer('likeness').startSpan('likeness.image', { startTime: startedAt });
  if (!span.isRecording()) return;
  span.setAttributes({
    'likeness.task': task,
    'likeness.detector': detector ?? undefined,
    'likeness.embedder': embedder ?? undefined,
    'likeness.outcome': outcome,
    'likeness.face_count': faceCount,
    'likeness.cache': timings?.cache,
  });
  if (outcome !== 'ok') span.setStatus({ code: SpanStatusCode.ERROR, message: outcome });
  // What the cache answered went through the stages in another span.
  if (timings != null && timings.cache !== 'hit' && timings.cache !== 'shared') {
    traceStages(span, timings, startedAt);
  }
  span.end(startedAt + totalMs);
}

/** The stages follow each other from the admission on; what the image span is longer by is the way to the worker and back. */
function traceStages(parent: Span, timings: StageTimings, startedAt: number): void {
  const tracer = trace.getTracer('likeness');
  const within = trace.setSpan(context.active(), parent);
  let startTime = startedAt;
  for (const [stage, key] of Object.entries(STAGES)) {
    const endTime = startTime + timings[key];
    if (timings[key] > 0) tracer.startSpan(stage, { startTime }, within).end(endTime);
    startTime = endTime;
  }
}
