/**
 * The browser library: publishes a camera to the gateway, pushes the stream to RTMP servers, plays streams.
 * Pages import it from the gateway at `/client/index.js`. The types are in the comments and in `wire.d.ts`.
 */
export { Session } from './session.js';
export { Publication } from './publication.js';
export { Playback } from './playback.js';
export { Room, RoomError } from './room.js';
export { SharedObject } from './shared-object.js';
export { PushApi } from './push-api.js';
export { Destinations } from './destinations.js';
export { Recordings } from './recordings.js';
export { RestError, renewToken, request } from './rest.js';
export { openCamera, openScreen } from './camera.js';
export { ClientError } from './errors.js';

/**
 * @typedef {import('./session.js').SessionOptions} SessionOptions
 * @typedef {import('./session.js').SessionState} SessionState
 * @typedef {import('./publication.js').PublishOptions} PublishOptions
 * @typedef {import('./publication.js').PublicationState} PublicationState
 * @typedef {import('./stats.js').PublicationStats} PublicationStats
 * @typedef {import('./playback.js').PlayOptions} PlayOptions
 * @typedef {import('./room.js').Member} Member
 * @typedef {import('./room.js').RoomMessage} RoomMessage
 * @typedef {import('./shared-object.js').Change} Change
 * @typedef {import('./push-api.js').PushApiOptions} PushApiOptions
 * @typedef {import('./wire.js').Transponder} Transponder
 * @typedef {import('./wire.js').TransponderEvent} TransponderEvent
 * @typedef {import('./wire.js').TransponderFilter} TransponderFilter
 * @typedef {import('./wire.js').PushRequest} PushRequest
 * @typedef {import('./wire.js').PictureChange} PictureChange
 * @typedef {import('./wire.js').StandbyOptions} StandbyOptions
 * @typedef {import('./wire.js').Verdict} Verdict
 * @typedef {import('./wire.js').SavedDestination} SavedDestination
 * @typedef {import('./wire.js').DestinationGroup} DestinationGroup
 * @typedef {import('./wire.js').Recording} Recording
 * @typedef {import('./wire.js').GatewayErrorCode} GatewayErrorCode
 * @typedef {import('./errors.js').ClientErrorCode} ClientErrorCode
 */
