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
 * @typedef {import('./publication.js').StreamOptions} StreamOptions
 * @typedef {import('./tracks.js').TrackOptions} TrackOptions
 * @typedef {import('./publication.js').PublicationState} PublicationState
 * @typedef {import('./session.js').SessionEvents} SessionEvents
 * @typedef {import('./publication.js').PublicationEvents} PublicationEvents
 * @typedef {import('./stats.js').PublicationStats} PublicationStats
 * @typedef {import('./stats.js').Quality} Quality
 * @typedef {import('./tracks.js').Kind} Kind
 * @typedef {import('./playback.js').PlayOptions} PlayOptions
 * @typedef {import('./playback.js').PlaybackEvents} PlaybackEvents
 * @typedef {import('./room.js').RoomEvents} RoomEvents
 * @typedef {import('./room.js').Member} Member
 * @typedef {import('./room.js').RoomMessage} RoomMessage
 * @typedef {import('./shared-object.js').Change} Change
 * @typedef {import('./shared-object.js').SharedObjectEvents} SharedObjectEvents
 * @typedef {import('./push-api.js').PushApiOptions} PushApiOptions
 * @typedef {import('./destinations.js').ServerOptions} ServerOptions
 * @typedef {import('./recordings.js').RecordingFilter} RecordingFilter
 * @typedef {import('./wire.js').Transponder} Transponder
 * @typedef {import('./wire.js').TransponderLeg} TransponderLeg
 * @typedef {import('./wire.js').TransponderOptions} TransponderOptions
 * @typedef {import('./wire.js').PublisherAway} PublisherAway
 * @typedef {import('./wire.js').PushCodecs} PushCodecs
 * @typedef {import('./wire.js').PushWarning} PushWarning
 * @typedef {import('./wire.js').Compliance} Compliance
 * @typedef {import('./wire.js').TransponderEvent} TransponderEvent
 * @typedef {import('./wire.js').TransponderFilter} TransponderFilter
 * @typedef {import('./wire.js').PushOrder} PushOrder
 * @typedef {import('./wire.js').PushRequest} PushRequest
 * @typedef {import('./wire.js').PictureChange} PictureChange
 * @typedef {import('./wire.js').StandbyOptions} StandbyOptions
 * @typedef {import('./wire.js').Verdict} Verdict
 * @typedef {import('./wire.js').SavedDestination} SavedDestination
 * @typedef {import('./wire.js').DestinationChange} DestinationChange
 * @typedef {import('./wire.js').DestinationGroup} DestinationGroup
 * @typedef {import('./wire.js').GroupChange} GroupChange
 * @typedef {import('./wire.js').GroupCheck} GroupCheck
 * @typedef {import('./wire.js').GroupStart} GroupStart
 * @typedef {import('./wire.js').Recording} Recording
 * @typedef {import('./wire.js').GatewayErrorCode} GatewayErrorCode
 * @typedef {import('./errors.js').ClientErrorCode} ClientErrorCode
 * @typedef {import('./errors.js').ErrorCode} ErrorCode
 * @typedef {import('./errors.js').ClientErrorOptions} ClientErrorOptions
 */
