import { FRAGMENT, OFFER, operations, SDP, type Operation } from '../openapi/operation.ts';

const op = operations('WHEP');

export const WHEP_OPERATIONS: readonly Operation[] = [
  op('post', '/whep/{stream}', 'playByWhep', 'Play a live stream', {
    body: SDP,
    status: 201,
    answer: SDP,
    headers: ['Location', 'Link'],
    errors: [...OFFER, 'STREAM_NOT_FOUND'],
  }),
  op('patch', '/whep/{stream}/{id}', 'patchWhepSession', 'Candidates, accepted without effect', {
    status: 204,
    body: FRAGMENT,
    errors: ['INVALID_SDP', 'SESSION_NOT_FOUND', 'BODY_TOO_LARGE', 'UNSUPPORTED_MEDIA_TYPE'],
  }),
  op('delete', '/whep/{stream}/{id}', 'endWhepSession', 'Stop playing', { errors: ['SESSION_NOT_FOUND'] }),
];
