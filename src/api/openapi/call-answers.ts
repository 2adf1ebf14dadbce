import { z } from 'zod';
import type { CallView } from '../../sip/call/call-view.ts';
import type { RegistrationView } from '../../sip/registration/registrations.ts';
import { CALL_STATUSES } from '../wcs/call-schemas.ts';

const time = z.iso.datetime();
const text = z.string().nullable();

/** A call: WCS's fields, then own ones. */
export const CallViewSchema = z.object({
  custom: z.object({}),
  nodeId: text,
  appKey: z.string(),
  sessionId: z.string(),
  callId: z.string(),
  parentCallId: z.null(),
  incoming: z.boolean(),
  status: z.enum(CALL_STATUSES),
  sipStatus: z.int().min(0).meta({ description: 'The last status of SIP; 0: none.' }),
  rtmpUrl: text.meta({ description: 'null for clients that may not push.' }),
  rtmpStream: text,
  streamName: z.string(),
  rtmpStreamStatus: text.meta({ description: 'The status of that push.' }),
  caller: z.string(),
  callee: z.string(),
  hasAudio: z.boolean(),
  hasVideo: z.boolean(),
  sdp: text.meta({ description: 'What the gateway has sent, without keys.' }),
  visibleName: text,
  inviteParameters: z.null(),
  mediaProvider: z.literal('SIP'),
  sipMessageRaw: z.null(),
  isMsrp: z.literal(false),
  target: z.null(),
  holdForTransfer: z.literal(false),
  reason: text.meta({ description: 'Why it has ended.' }),
  reasonCode: text.meta({ description: 'The code of that reason: see docs/errors.md.' }),
  audioCodec: text,
  videoCodec: text,
  secure: z.boolean().meta({ description: 'Whether the media is encrypted.' }),
  createdAt: time,
  answeredAt: time.nullable(),
  endedAt: time.nullable(),
}) satisfies z.ZodType<CallView>;

/** An account of `sip_register`. */
export const RegistrationViewSchema = z.object({
  account: z.string().meta({ description: 'user@domain' }),
  stream: text.meta({ description: 'The stream of its calls, if sip_register names one.' }),
  state: z.enum(['registering', 'registered', 'failed', 'unregistered']),
  reasonCode: text.meta({ description: 'Why it has failed: see docs/errors.md.' }),
  reason: text.meta({ description: 'The same in words, with what to change.' }),
  expiresAt: time.nullable(),
}) satisfies z.ZodType<RegistrationView>;
