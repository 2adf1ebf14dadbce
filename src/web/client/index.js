/**
 * The browser library: publishes a camera to the gateway, pushes the stream to RTMP servers, plays streams.
 * Pages import it from the gateway at `/client/index.js`. The types are in the comments.
 */
export { Session } from './session.js';
export { Publication } from './publication.js';
export { Playback } from './playback.js';
export { Room, RoomError } from './room.js';
export { SharedObject } from './shared-object.js';
export { PushApi, RestError, request } from './push-api.js';
export { openCamera } from './camera.js';
export { ClientError } from './errors.js';
