import { context, type Span, SpanStatusCode, trace } from '@opentelemetry/api';
import { STAGES, type StageTimings } from '../pipeline/face.types';
import type { ImageEvent } from './face.options';

/**
 * Reports the outcome of an image to OpenTelemetry: a span `likeness.image`, child of the active span in the asynchronous context
 * of the call, with a child span for each stage that ran. The spans are created afterwards, from the measured times. They hold no
 * image and no embedding.
 *
 * Without a registered SDK, or where the image is not sampled, it returns at once.
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
  // The stages of a cached answer are in the span of another call.
  if (timings != null && timings.cache !== 'hit' && timings.cache !== 'shared') {
    traceStages(span, timings, startedAt);
  }
  span.end(startedAt + totalMs);
}

/** The stages follow each other from the admission on; the rest of the image span is the way to the worker and back. */
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
