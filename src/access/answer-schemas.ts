import type { z } from 'zod';
import type { PushOrder } from './authorizer.ts';

/** The rules for what application servers may answer, which are those of REST. */
export interface AnswerSchemas {
  readonly streamName: z.ZodType<string>;
  /** The body of `/push/startup` without `streamName`. */
  readonly push: z.ZodType<PushOrder>;
}
