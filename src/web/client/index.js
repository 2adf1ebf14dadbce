/**
 * The browser library: publish a camera to the gateway, have it pushed to RTMP servers, play streams.
 * Plain modules that a page imports from the gateway at `/client/index.js`; the types are in the comments.
 */
export { Session } from './session.js';
export { Publication } from './publication.js';
export { Playback } from './playback.js';
export { PushApi, RestError, request } from './push-api.js';
export { openCamera } from './camera.js';
export { ClientError } from './errors.js';
