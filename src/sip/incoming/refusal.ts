import type { ErrorCode, GatewayError } from '../../errors.ts';

/** How a call that has come is refused. */
export interface Refusal {
  readonly status: number;
  readonly headers: Readonly<Record<string, string>>;
}

const STATUSES: Readonly<Partial<Record<ErrorCode, number>>> = {
  UNAUTHORIZED: 403,
  TOKEN_EXPIRED: 403,
  FORBIDDEN: 403,
  SHUTTING_DOWN: 480,
  STREAM_NAME_IN_USE: 486,
  NO_COMMON_CODECS: 488,
};
const RETRY_AFTER_S = 30;

export const noCommonCodec: Refusal = {
  status: 488,
  headers: { warning: '304 gateway "No common codec, or no media"' },
};

/** The status says to the caller what REST clients learn from the code. The message stays here. */
export function refusalOf({ code, httpStatus, retryAfterS = RETRY_AFTER_S }: GatewayError): Refusal {
  if (code === 'NO_COMMON_CODECS') return noCommonCodec;
  const status = STATUSES[code] ?? (httpStatus === 503 || httpStatus === 429 ? 503 : 500);
  return { status, headers: status === 503 ? { 'retry-after': String(retryAfterS) } : {} };
}
