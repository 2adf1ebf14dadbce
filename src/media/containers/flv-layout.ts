/** Sizes in an FLV stream (FLV 10.1, E.2 to E.4). */
export const FLV_HEADER_BYTES = 9;
export const FLV_TAG_HEADER_BYTES = 11;
export const FLV_PREVIOUS_SIZE_BYTES = 4;
