import { z } from 'zod';
import { flag, must, text, toNumber } from './fields.ts';
import { streamName } from './schemas.ts';

/** The bodies of `/rest-api/call/*` and of the older `/RESTCall/*`. */

const callId = text('the callId that the client has chosen, a string', 128);
const host = (what: string) =>
  text(`${what}, a string`, 260).regex(
    /^(?:[\w.-]+|\[[0-9a-fA-F:.]+\])(?::\d{1,5})?$/,
    must('a host name or an address, with :port where it is needed'),
  );
const portRule = must('a whole number from 1 to 65535');
const account = {
  sipLogin: text('the user of the SIP account, a string', 128).optional(),
  sipAuthenticationName: text('a string', 128)
    .optional()
    .meta({ description: 'The name for authentication, if it is not sipLogin.' }),
  sipPassword: text('a string', 256).optional().meta({ description: 'A secret.' }),
  sipDomain: host('the domain of the SIP account').optional(),
  sipOutboundProxy: host('HOST or HOST:PORT').optional().meta({ description: 'Default: sipDomain.' }),
  sipPort: z
    .preprocess(toNumber, z.int(portRule).min(1, portRule).max(65_535, portRule))
    .optional()
    .meta({ description: 'Default: 5060, and 5061 with TLS.' }),
  sipTransport: z
    .enum(['udp', 'tcp', 'tls'], must('"udp", "tcp" or "tls"'))
    .optional()
    .meta({ description: 'Default: sip_transport.' }),
  appKey: text('a string', 128).optional(),
  sipRegisterRequired: flag('Register the account for the time of the call.'),
};
const rtmpUrl = text('a URL such as "rtmp://HOST:1935/live", a string', 4096);
const call = {
  callId,
  callee: text('a number, user@host or a sip: URI, a string', 256),
  toStream: streamName.optional().meta({ description: 'The stream that the call becomes. Default: rtmpStream.' }),
  rtmpUrl: rtmpUrl.optional().meta({ description: 'The stream is pushed there as soon as the call is established.' }),
  rtmpStream: streamName.optional().meta({ description: 'The name of that push, without the prefix.' }),
  hasAudio: flag('Default: true.'),
  hasVideo: flag('Default: false.'),
  visibleName: text('a string', 128).optional().meta({ description: 'The name that the callee sees.' }),
};

export const CallStartSchema = z.object({ ...call, ...account });
/** Older pages put the account into an object. */
export const RestCallSchema = z.object({ ...call, ...account, connection: z.object(account).optional() });

export const CALL_STATUSES = [
  'PENDING',
  'TRYING',
  'RING',
  'RING_MEDIA',
  'SESSION_PROGRESS',
  'ESTABLISHED',
  'HOLD',
  'FINISH',
  'BUSY',
  'FAILED',
] as const;

export const CallFilterSchema = z.object({
  callId: callId.optional(),
  callee: text('a string', 256).optional(),
  rtmpUrl: rtmpUrl.optional(),
  status: z.enum(CALL_STATUSES, must(`one of ${CALL_STATUSES.join(', ')}`)).optional(),
});
export const CallIdSchema = z.object({ callId });
const digits = must('1 to 64 of 0-9, *, #, A-D and , for a pause');
export const DtmfSchema = z.object({
  callId,
  dtmf: z
    .string(digits)
    .regex(/^[0-9*#A-Da-d,]{1,64}$/, digits)
    .meta({ description: 'Digits; a comma is a pause of a second.' }),
  type: z
    .enum(['RFC2833', 'INFO', 'INFO_RELAY'], must('"RFC2833", "INFO" or "INFO_RELAY"'))
    .optional()
    .meta({ description: 'Default: RFC2833.' }),
});
export const InjectSoundSchema = z.object({
  callId,
  fileName: text('the name of a WAV file in the media directory, a string', 255),
});
export const InjectStreamSchema = z.object({ callId, streamName });
export const EndInjectionSchema = z.object({ callId, streamName: streamName.optional() });
