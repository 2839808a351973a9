import {
  type CallHandler,
  type ExecutionContext,
  type NestInterceptor,
  StreamableFile,
} from '@nestjs/common';
import { map, type Observable } from 'rxjs';
import type { AppRequest } from '../request/request-id';

/**
 * Decimal places of the remaining similarity. With exact scores, a caller can change an image step by step until it
 * matches, and reconstruct a face. Coarse scores slow this down but do not prevent it: limit the requests too.
 *
 * @see A. Adler, "Images can be regenerated from quantized biometric match score data", CCECE 2004.
 */
const SIMILARITY_DECIMALS = 1;

/**
 * Removes distances from responses to keys without access to them, and rounds similarities. The outermost interceptor:
 * the audit stream inside it records exact values.
 */
export class HideDistancesInterceptor implements NestInterceptor {
  intercept(context: ExecutionContext, next: CallHandler): Observable<unknown> {
    const { apiKey } = context.switchToHttp().getRequest<AppRequest>();
    if (apiKey == null || apiKey.maySeeDistances) return next.handle();
    return next.handle().pipe(map(withoutDistances));
  }
}

/** Copies a response without distances. Every object with a distance is a result of a comparison. */
export function withoutDistances(value: unknown): unknown {
  if (Array.isArray(value)) {
    // Embeddings are long and contain no results.
    return typeof value[0] === 'number' ? value : value.map(withoutDistances);
  }
  if (typeof value !== 'object' || value == null || isOpaque(value)) return value;
  const isComparison = 'distance' in value;
  return Object.fromEntries(
    Object.entries(value).map(([name, field]: [string, unknown]) => {
      // Custom data of the caller.
      if (name === 'metadata') return [name, field];
      if (isComparison && ['distance', 'falseMatchRate', 'confidence'].includes(name)) return [name, null];
      if (isComparison && name === 'similarity') return [name, round(field as number)];
      return [name, withoutDistances(field)];
    }),
  );
}

/** Bytes, files, and objects with their own toJSON, such as dates, which a copy would lose. */
function isOpaque(value: object): boolean {
  return ArrayBuffer.isView(value) || value instanceof StreamableFile || 'toJSON' in value;
}

function round(similarity: number): number {
  // Adding zero turns -0 into 0.
  return Math.round(similarity * 10 ** SIMILARITY_DECIMALS) / 10 ** SIMILARITY_DECIMALS + 0;
}
