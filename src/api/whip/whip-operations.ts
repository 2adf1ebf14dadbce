import { FRAGMENT, LOGIN, OFFER, operations, SDP, type Operation } from '../openapi/operation.ts';

const op = operations('WHIP');
const REPUBLISH: Operation['query'] = {
  rtmpUrl: {
    schema: { type: 'array', items: { type: 'string' }, maxItems: 32 },
    description: 'Republish to these RTMP servers from the beginning.',
  },
  transport: { schema: { type: 'string', enum: ['udp', 'tcp'] }, description: 'tcp: media over TCP only.' },
};

export const WHIP_OPERATIONS: readonly Operation[] = [
  op('post', '/whip/{stream}', 'publishByWhip', 'Publish a stream (RFC 9725)', {
    query: REPUBLISH,
    body: SDP,
    status: 201,
    answer: SDP,
    headers: ['Location', 'ETag', 'Link'],
    errors: [...OFFER, 'STREAM_NAME_IN_USE', 'OVERLOADED'],
  }),
  op('patch', '/whip/{stream}/{id}', 'patchWhipSession', 'Candidates (204), or an ICE restart with If-Match: * (200)', {
    body: FRAGMENT,
    answer: FRAGMENT,
    headers: ['ETag'],
    errors: [
      'INVALID_SDP',
      'SESSION_NOT_FOUND',
      'PRECONDITION_FAILED',
      'PRECONDITION_REQUIRED',
      'BODY_TOO_LARGE',
      'UNSUPPORTED_MEDIA_TYPE',
    ],
  }),
  op('delete', '/whip/{stream}/{id}', 'endWhipSession', 'End a publication', { errors: ['SESSION_NOT_FOUND'] }),
  op(
    'post',
    '/{app}/whip/endpoint/{stream}',
    'publishByRed5Client',
    "Publish a stream as Red5 Pro's clients do, with credentials in the query",
    {
      query: {
        ...REPUBLISH,
        ...LOGIN,
      },
      body: SDP,
      status: 201,
      answer: SDP,
      headers: ['Location', 'Link'],
      errors: [...OFFER, 'STREAM_NAME_IN_USE', 'OVERLOADED'],
    },
  ),
  op('patch', '/{app}/whip/resource/{stream}/{id}', 'patchRed5Session', 'Accepted without effect', {
    status: 204,
    body: FRAGMENT,
    open: true,
    errors: ['SESSION_NOT_FOUND'],
  }),
  op('delete', '/{app}/whip/resource/{stream}/{id}', 'endRed5Session', 'End a publication', {
    open: true,
    errors: ['SESSION_NOT_FOUND'],
  }),
];
