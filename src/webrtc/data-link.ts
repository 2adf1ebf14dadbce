import { EventEmitter } from 'node:events';
import type { types } from 'mediasoup';
import type { Logger } from '../observe/logger.ts';
import type { DataChannel, DataChannelEvents } from '../streams/data-channel.ts';

export interface DataLinkOptions {
  /** With SCTP. */
  readonly transport: types.WebRtcTransport;
  /** Of the transport's router. */
  readonly directTransport: types.DirectTransport;
  /** The client's, from its offer. */
  readonly remoteRole: types.DtlsRole | undefined;
  readonly logger: Logger;
}

/**
 * The SCTP streams on which messages are exchanged. mediasoup does not implement the protocol by which clients open
 * channels (RFC 8832), but it ignores their opening messages, so the streams have to be known: the first channel that a
 * client opens has number 1 if the client is the DTLS server, and 0 otherwise.
 */
const STREAMS = [0, 1] as const;
type StreamId = (typeof STREAMS)[number];

/** Bytes of one message of a client; announced in the answer. */
export const MAX_DATA_MESSAGE_BYTES = 64 * 1024;
/** Bytes that may wait in the worker for a client which reads slowly. */
export const DATA_SEND_BUFFER_BYTES = 256 * 1024;
/** Messages that the worker has not taken yet. */
const MAX_UNCONFIRMED = 1024;

/** Milliseconds after which a data channel closes although messages wait for its client. */
const LAST_MESSAGES_MS = 2000;

/** Messages that are not text, such as those of an application that uses the channel for something else. */
const MAX_IGNORED = 1000;

/** Payload protocol identifiers of RFC 8831, 8. */
const TEXT = 51;

/** The data channel of one client: the first one that it opens, or a negotiated one with the id 0 or 1. */
export class DataLink extends EventEmitter<DataChannelEvents> implements DataChannel {
  readonly #logger: Logger;
  readonly #senders: readonly types.DataConsumer[];
  /** Only exists because every consumer needs a producer. */
  readonly #source: types.DataProducer;
  readonly #producers: readonly types.DataProducer[];
  /** Where the client listens. */
  #streamId: StreamId;
  #unconfirmed = 0;
  #ignored = 0;
  #open = false;
  #over = false;

  private constructor(
    { transport, remoteRole, logger }: DataLinkOptions,
    source: types.DataProducer,
    senders: readonly types.DataConsumer[],
    producers: readonly types.DataProducer[],
  ) {
    super();
    this.#logger = logger;
    this.#source = source;
    this.#senders = senders;
    this.#producers = producers;
    this.#streamId = remoteRole === 'client' ? 0 : 1;
    for (const sender of senders) sender.on('sctpsendbufferfull', () => this.#lose('the client does not read'));
    transport.on('sctpstatechange', (state) => {
      logger.debug({ state }, 'SCTP state');
      if (state === 'connected') this.#opened();
      else if (state === 'failed' || state === 'closed') this.#lose('SCTP has ended');
    });
    transport.observer.once('close', () => this.#end());
    if (transport.sctpState === 'connected') setImmediate(() => this.#opened());
    if (transport.closed) this.#end();
  }

  static async create(options: DataLinkOptions): Promise<DataLink> {
    const { transport, directTransport } = options;
    const source = await directTransport.produceData();
    try {
      // In this order: mediasoup numbers the streams of consumers itself, from 0 on.
      const senders: types.DataConsumer[] = [];
      for (const _ of STREAMS) senders.push(await transport.consumeData({ dataProducerId: source.id, ordered: true }));
      const producers = await Promise.all(
        STREAMS.map((streamId) => transport.produceData({ sctpStreamParameters: { streamId, ordered: true } })),
      );
      const receivers = await Promise.all(
        producers.map(({ id }) => directTransport.consumeData({ dataProducerId: id })),
      );
      const link = new DataLink(options, source, senders, producers);
      receivers.forEach((receiver, index) =>
        receiver.on('message', (data, ppid) => link.#receive(STREAMS[index]!, data, ppid)),
      );
      return link;
    } catch (error) {
      source.close();
      throw error;
    }
  }

  send(text: string): void {
    if (!this.#open || this.#over) return;
    if (this.#unconfirmed >= MAX_UNCONFIRMED) return this.#lose('the media worker does not take its messages');
    this.#unconfirmed++;
    this.#senders[this.#streamId]!.send(text).then(
      () => void this.#unconfirmed--,
      () => this.#lose('a message could not be sent'),
    );
  }

  close(): void {
    if (this.#over) return;
    this.#over = true;
    const sender = this.#senders[this.#streamId]!;
    const timer = setTimeout(() => this.#release(), LAST_MESSAGES_MS);
    const release = (): void => {
      clearTimeout(timer);
      this.#release();
    };
    // With the transport.
    sender.observer.once('close', release);
    // The event may be about messages before the last one. Requests fail if the transport has closed meanwhile.
    const look = (): void => void sender.getBufferedAmount().then((bytes) => bytes === 0 && release(), release);
    sender.on('bufferedamountlow', look);
    sender.setBufferedAmountLowThreshold(0).then(look, release);
  }

  /** mediasoup resets the streams, and so discards what it has not sent. */
  #release(): void {
    // Its consumers close with it.
    this.#source.close();
    for (const producer of this.#producers) producer.close();
  }

  #receive(streamId: StreamId, data: Buffer, ppid: number): void {
    if (this.#over) return;
    if (ppid !== TEXT) return this.#ignore();
    if (data.length > MAX_DATA_MESSAGE_BYTES) return this.#lose('a message is too long');
    this.#streamId = streamId;
    this.emit('message', data.toString('utf8'));
  }

  #ignore(): void {
    if (++this.#ignored > MAX_IGNORED) this.#lose('too many messages are not text');
  }

  #opened(): void {
    if (this.#open || this.#over) return;
    this.#open = true;
    this.emit('open');
  }

  #lose(reason: string): void {
    if (this.#over) return;
    this.#logger.info({ reason }, 'data channel closed');
    this.#end();
  }

  #end(): void {
    if (this.#over) return;
    this.#over = true;
    this.#release();
    this.emit('closed');
  }
}
