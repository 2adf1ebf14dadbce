/** What publications need of the recorders. All methods throw {@link GatewayError}. */
export interface RecordControl {
  /** Checks whether recordings may be made now. */
  check(): Promise<void>;
  /** Records a live stream; one that is being recorded goes on. */
  ensure(streamName: string): Promise<RequestedRecording>;
}

/** A recording that was requested with a publication. */
export interface RequestedRecording {
  /** Its first file, as soon as there is one. */
  readonly firstFile: string | undefined;
}
