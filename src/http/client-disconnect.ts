import { createParamDecorator, type ExecutionContext } from '@nestjs/common';
import type { Response } from 'express';

/** Parameter of a controller method: an AbortSignal that aborts when the client leaves before the answer. */
export const RequestSignal = createParamDecorator(
  (_data: undefined, context: ExecutionContext): AbortSignal => {
    const response = context.switchToHttp().getResponse<Response>();
    const controller = new AbortController();
    const abortUnanswered = () => {
      if (!response.writableEnded) controller.abort();
    };
    // A client that left during the upload has closed the response already: the event would never come.
    if (response.closed) abortUnanswered();
    else response.once('close', abortUnanswered);
    return controller.signal;
  },
);
