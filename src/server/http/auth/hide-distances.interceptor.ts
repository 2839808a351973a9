import {
  type CallHandler,
  type ExecutionContext,
  type NestInterceptor,
  StreamableFile,
} from '@nestjs/common';
import { map, type Observable } from 'rxjs';
import type { AppRequest } from '../request/request-id';

/**
 * Decimal places of the similarity that stays. Exact scores let a caller who changes an image step by step climb to one
 * that matches, and rebuild a face from the answers. Coarse scores make this slower, not impossible: limit the requests too.
 *
 * @see A. Adler, "Images can be regenerated from quantized biometric match score data", CCECE 2004.
 */
const SIMILARITY_DECIMALS = 1;

/**
 * Leaves the decision and a rounded similarity in the answers to keys that may not see distances. Outermost of all
 * interceptors: the audit stream inside of it holds the exact ones.
 */
export class HideDistancesInterceptor implements NestInterceptor {
  intercept(context: ExecutionContext, next: CallHandler): Observable<unknown> {
    const { apiKey } = context.switchToHttp().getRequest<AppRequest>();
    if (apiKey == null || apiKey.maySeeDistances) return next.handle();
    return next.handle().pipe(map(withoutDistances));
  }
}

/** The same answer; in it, each result of a comparison is one that has a distance. */
export function withoutDistances(value: unknown): unknown {
  if (Array.isArray(value)) {
    // Embeddings are long, and hold no results.
    return typeof value[0] === 'number' ? value : value.map(withoutDistances);
  }
  if (typeof value !== 'object' || value == null || isOpaque(value)) return value;
  const isComparison = 'distance' in value;
  return Object.fromEntries(
    Object.entries(value).map(([name, field]: [string, unknown]) => {
      // The caller's own words.
      if (name === 'metadata') return [name, field];
      if (isComparison && ['distance', 'falseMatchRate', 'confidence'].includes(name)) return [name, null];
      if (isComparison && name === 'similarity') return [name, round(field as number)];
      return [name, withoutDistances(field)];
    }),
  );
}

/** Bytes, files, and what writes its JSON itself, as dates do: copying its fields would lose it. */
function isOpaque(value: object): boolean {
  return ArrayBuffer.isView(value) || value instanceof StreamableFile || 'toJSON' in value;
}

function round(similarity: number): number {
  // Plus zero: no answer is -0.
  return Math.round(similarity * 10 ** SIMILARITY_DECIMALS) / 10 ** SIMILARITY_DECIMALS + 0;
}
