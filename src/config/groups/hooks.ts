import { z } from 'zod';
import { listOf } from '../fields.ts';

/** Bytes of `webhook_secret`: what the Standard Webhooks specification allows. */
const MIN_SECRET_BYTES = 24;
const MAX_SECRET_BYTES = 64;

const isHttpUrl = (text: string): boolean => /^https?:\/\//i.test(text) && URL.canParse(text);

function isSecret(text: string): boolean {
  const [, base64] = /^whsec_([A-Za-z0-9+/]+={0,2})$/.exec(text) ?? [];
  const key = Buffer.from(base64 ?? '', 'base64');
  return key.toString('base64') === base64 && key.length >= MIN_SECRET_BYTES && key.length <= MAX_SECRET_BYTES;
}

/** Events for an application server. */
export const hooks = {
  webhook_urls: listOf(isHttpUrl, 'URLs that begin with http:// or https://').default([]),
  webhook_secret: z
    .string()
    .refine(
      (text) => text === '' || isSecret(text),
      `must be whsec_ and ${MIN_SECRET_BYTES} to ${MAX_SECRET_BYTES} bytes in base64 (echo whsec_$(openssl rand -base64 32)), or empty`,
    )
    .default(''),
  webhook_events: listOf(
    (part) => /^(?:\*|[a-z]+\.(?:\*|[a-z_]+))$/.test(part),
    'events (stream.published) and patterns (push.*)',
  )
    .refine((parts) => parts.length > 0, 'must name at least one event')
    .default(['*']),
};
