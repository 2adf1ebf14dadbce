/*
 * AAC-LC without a search. The noise that a quantizer step adds to a band can be estimated (3GPP TS 26.403), so each frame is quantized once. libavcodec's encoder
 * tries steps until the bits suffice, and spends half of its time on that. docs/audio.md has the cost and the quality of both.
 *
 * Stages of a frame: windows and transform; masking thresholds of the bands; noise-to-mask ratio that the available bits allow; scale factors; quantized lines
 * and codebooks; bits. Names follow ISO/IEC 14496-3; a factor is a scale factor.
 */
#include "aac-encoder.h"
#include "aac-codebooks.h"
#include <libavutil/mem.h>
#include <libavutil/tx.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { SAMPLE_RATE = 48000, FRAME = AAC_FRAME_SAMPLES, SHORT = 128, WINDOWS = 8, MAX_CHANNELS = 2 };
enum sequence { ONLY_LONG, LONG_START, EIGHT_SHORT, LONG_STOP };

/* First lines of the bands at 48 kHz (ISO/IEC 14496-3, 4.5.4). Nothing above 20.25 kHz is coded. */
static const uint16_t long_bands[] = {0,   4,   8,   12,  16,  20,  24,  28,  32,  36,  40,  48,  56,  64,  72,  80,  88,  96,  108, 120, 132, 144, 160, 176,
                                      196, 216, 240, 264, 292, 320, 352, 384, 416, 448, 480, 512, 544, 576, 608, 640, 672, 704, 736, 768, 800, 832, 864};
static const uint16_t short_bands[] = {0, 4, 8, 12, 16, 20, 28, 36, 44, 56, 68, 80, 96, 112};
enum { LONG_BANDS = 46, SHORT_BANDS = 13, MAX_BANDS = WINDOWS * SHORT_BANDS };

/* Added before truncation: less than a half, because small values are more frequent than large ones. */
#define ROUNDING 0.4054f
/* Sound pressure of full scale, and the highest threshold in quiet that is used, in decibels: listeners may turn the volume up. */
enum { FULL_SCALE_DB = 115, MOST_QUIET_DB = 30 };
/* How far below a band's energy its noise is masked, as a power of ten, at the lowest and at the highest bark. */
#define MASKED_BASS 2.8f
#define MASKED_TREBLE 1.2f
/* Slopes of masking towards higher and towards lower bands, as powers of ten for each bark. */
#define MASKED_UPWARD 1.2f
#define MASKED_DOWNWARD 3.0f
/* log2 of energy to noise: the least that a coded band has, so that it does not come and go, and the most that spare bits add beyond masking. */
#define LEAST_RATIO 0.6f
#define MOST_RAISED 10
/* Ratio of energies that makes an attack, and the energy from which it is audible (of the differences of 128 samples). */
#define ATTACK 10
#define AUDIBLE 1e-3f
/* Ratio of a frame's loudest part to its last one that makes it fade out. */
#define FADE 1000
/* ms_mask_present: the bands that have middle and side instead of left and right. */
enum { NO_BANDS, SOME_BANDS, ALL_BANDS };
/* Estimated bits of a channel beside its lines: sections and factors, and the header. */
enum { SIDE_BITS = 120, HEADER_BITS = 45 };
/* Initial value from TS 26.403; then the average of earlier frames whose entropy is large enough to tell. */
#define ENTROPY_PER_BIT 1.18f
enum { TELLING_ENTROPY = 500, MOST_AGAIN = 8 };
/* Share of the bit reserve that one frame may use, its limits in frames, and the largest reserve in frames. */
#define SPENT_AT_ONCE 0.4f
#define MOST_SPARE 1.4f
#define LEAST_SPARE 0.5f
#define MOST_RESERVE 4
enum { FACTOR_OFFSET = 100, MAX_FACTOR = 255 - FACTOR_OFFSET, MAX_FACTOR_STEP = 60, NOT_CODED = INT16_MAX, MAX_QUANTIZED = 8191, MAX_BITS_OF_CHANNEL = 6144 - 100 };

/* Candidates for each factor, the fixed-point unit of costs in bits, and a prohibitive cost. */
enum { SHIFTS = 16, BIT_PARTS = 16, DEAR = 8000, FACTOR_COST_ZERO = 255 + 2 * SHIFTS };
/* Weight of moving a factor, in bits for each line that is not zero. Chosen by the noise-to-mask ratio of the sounds of `bench audio`. */
#define LINE_BITS 0.1f

static float least_of(float a, float b) { return a < b ? a : b; }
static float most_of(float a, float b) { return a > b ? a : b; }

struct codebook {
  uint32_t code[289];
  uint8_t bits[289];
  /* With the signs that follow the code. */
  uint8_t cost[289];
};

static struct codebook factor_book, books[12];
/* Costs in parts of a bit: of differences of factors, and of moving a factor by index - SHIFTS / 2 steps, for each line. */
static int16_t factor_cost[2 * FACTOR_COST_ZERO + 1];
static float shift_costs[SHIFTS];
static float long_window[2 * FRAME], short_window[2 * SHORT];
static float long_quiet[LONG_BANDS], short_quiet[SHORT_BANDS], long_masked[LONG_BANDS], short_masked[SHORT_BANDS];
/* Masking of the next band, and of the one before. */
static float long_up[LONG_BANDS], long_down[LONG_BANDS], short_up[SHORT_BANDS], short_down[SHORT_BANDS];

/* The spectrum of one channel in one frame, by bands: for short windows the bands of a group of windows. */
struct spectrum {
  int bands;
  uint16_t start[MAX_BANDS + 1];
  float lines[FRAME];
  float root[FRAME]; /* |line| ^ 3/4 */
  float energy[MAX_BANDS], threshold[MAX_BANDS], ratio[MAX_BANDS], form[MAX_BANDS], width[MAX_BANDS];
  int16_t factor[MAX_BANDS], written_factor[MAX_BANDS];
  int16_t quantized[FRAME];
  uint8_t book[MAX_BANDS];
};

struct channel {
  /* The frame before this one, this one, and the next. */
  float samples[3 * FRAME];
  float last_sample, loudness;
  float last_threshold[LONG_BANDS];
  struct spectrum spectrum;
};

/* Where long windows would spread noise audibly: the part of the frame (of eight) in which an attack begins, or -1, and whether the frame fades out. */
struct change { int attack, fades; };

struct aac_encoder {
  int channels, has_begun;
  float target, reserve, entropy_per_bit;
  /* Bands below the bandwidth, in long and in short windows. */
  int long_count, short_count;
  AVTXContext *long_transform, *short_transform;
  av_tx_fn transform_long, transform_short;
  struct change this_change, next_change;
  enum sequence sequence;
  int groups, group_length[WINDOWS], bands_of_group;
  uint8_t middle_side[MAX_BANDS];
  int has_middle_side;
  struct channel channel[MAX_CHANNELS];
};

/* ---- tables ---- */

static void make_book(struct codebook *book, const uint8_t *counts, const uint16_t *symbols, int size) {
  uint32_t code = 0;
  for (int next = 0, length = 1; next < size; length++, code <<= 1) {
    for (int i = 0; i < counts[length - 1]; i++, next++) {
      book->code[symbols[next]] = code++;
      book->bits[symbols[next]] = length;
    }
  }
}

static int signs_of(int book, int symbol) {
  int count = 0;
  if (book == 3 || book == 4)
    for (int i = 0; i < 4; i++, symbol /= 3) count += symbol % 3 != 0;
  else if (book >= 7) {
    int size = book <= 8 ? 8 : book <= 10 ? 13 : 17;
    count = (symbol % size != 0) + (symbol / size != 0);
  }
  return count;
}

enum { BARKS = 24 };

static float bark(float hertz) { return 13.3f * atanf(0.00076f * hertz) + 3.5f * atanf(hertz * hertz / 5.625e7f); }

static void make_bands(const uint16_t *start, int bands, int lines, float full_scale, float *quiet, float *masked, float *up, float *down) {
  float hertz_per_line = SAMPLE_RATE / 2.0f / lines;
  for (int band = 0; band < bands; band++) {
    float least = INFINITY;
    for (int line = start[band]; line < start[band + 1]; line++) {
      float khz = (line + 0.5f) * hertz_per_line / 1000;
      float db = 3.64f * powf(khz, -0.8f) - 6.5f * expf(-0.6f * (khz - 3.3f) * (khz - 3.3f)) + 0.001f * khz * khz * khz * khz;
      least = least_of(least, db);
    }
    quiet[band] = full_scale * powf(10, (least_of(least, MOST_QUIET_DB) - FULL_SCALE_DB) / 10) * (start[band + 1] - start[band]) / 4;
    float centre = bark((start[band] + start[band + 1]) / 2.0f * hertz_per_line);
    masked[band] = powf(10, -(MASKED_BASS + (MASKED_TREBLE - MASKED_BASS) * centre / BARKS));
    if (band + 1 == bands) break;
    float next = bark((start[band + 1] + start[band + 2]) / 2.0f * hertz_per_line);
    up[band] = powf(10, -MASKED_UPWARD * (next - centre));
    down[band + 1] = powf(10, -MASKED_DOWNWARD * (next - centre));
  }
}

/*
 * Cost of moving a band's factor by `step`, in bits for each line that is not zero. Each step saves LINE_BITS and multiplies the noise by 2^(3/8). The price of noise
 * is the one for which step 0 is cheapest: apart from the bits of the factors themselves, the factors of find_factors are the best.
 */
static float shift_cost(int step) {
  const float growth = 3.0f / 8 * (float)M_LN2;
  return LINE_BITS * ((expf(growth * step) - 1) / growth - step);
}

static void make_tables(void) {
  static const struct { const uint8_t *counts; const uint16_t *symbols; int size; } sources[] = {
      {factor_counts, factor_symbols, 121}, {book1_counts, book1_symbols, 81},   {book2_counts, book2_symbols, 81},   {book3_counts, book3_symbols, 81},
      {book4_counts, book4_symbols, 81},    {book5_counts, book5_symbols, 81},   {book6_counts, book6_symbols, 81},   {book7_counts, book7_symbols, 64},
      {book8_counts, book8_symbols, 64},    {book9_counts, book9_symbols, 169},  {book10_counts, book10_symbols, 169}, {book11_counts, book11_symbols, 289},
  };
  for (int book = 0; book < 12; book++) {
    struct codebook *made = book == 0 ? &factor_book : &books[book];
    make_book(made, sources[book].counts, sources[book].symbols, sources[book].size);
    for (int symbol = 0; symbol < sources[book].size; symbol++) made->cost[symbol] = made->bits[symbol] + (book == 0 ? 0 : signs_of(book, symbol));
  }
  for (int i = 0; i <= 2 * FACTOR_COST_ZERO; i++) {
    int difference = i - FACTOR_COST_ZERO;
    factor_cost[i] = abs(difference) > MAX_FACTOR_STEP ? DEAR : BIT_PARTS * factor_book.bits[difference + MAX_FACTOR_STEP];
  }
  for (int i = 0; i < SHIFTS; i++) shift_costs[i] = BIT_PARTS * shift_cost(i - SHIFTS / 2);
  for (int i = 0; i < 2 * FRAME; i++) long_window[i] = sinf((i + 0.5f) * (float)M_PI / (2 * FRAME));
  for (int i = 0; i < 2 * SHORT; i++) short_window[i] = sinf((i + 0.5f) * (float)M_PI / (2 * SHORT));
  make_bands(long_bands, LONG_BANDS, FRAME, 0x1p50f, long_quiet, long_masked, long_up, long_down);
  make_bands(short_bands, SHORT_BANDS, SHORT, 0x1p47f, short_quiet, short_masked, short_up, short_down);
}

/* ---- windows and transforms ---- */

static struct change find_change(struct channel *channel) {
  const float *samples = channel->samples + 2 * FRAME;
  struct change change = {-1, 0};
  float last = channel->last_sample, energy = 0, loudest = 0;
  for (int part = 0; part < WINDOWS; part++) {
    energy = 0;
    for (int i = 0; i < SHORT; i++, samples++) {
      /* Differences emphasise the high frequencies that attacks have. */
      float difference = *samples - last;
      last = *samples;
      energy += difference * difference;
    }
    if (change.attack < 0 && energy > ATTACK * channel->loudness && energy > AUDIBLE) change.attack = part;
    channel->loudness = 0.7f * channel->loudness + 0.3f * energy;
    loudest = most_of(loudest, energy);
  }
  change.fades = loudest > FADE * energy && loudest > AUDIBLE;
  channel->last_sample = last;
  return change;
}

/* Short windows cover the second half of the frame before, and the first half of this one. */
static int wants_short(struct change before, struct change this) { return (this.attack >= 0 && this.attack < 4) || before.attack >= 4 || before.fades || this.fades; }

static void group_windows(struct aac_encoder *encoder, struct change before, struct change this) {
  int lengths[WINDOWS] = {2, 2, 2, 2};
  int first = this.attack >= 0 && this.attack < 4 ? this.attack + 3 : before.attack >= 4 ? before.attack - 4 : -1;
  if (first >= 0) {
    /* The two windows with the attack are one group; those before and after them are the others. */
    lengths[0] = first;
    lengths[1] = first < 7 ? 2 : 1;
    lengths[2] = WINDOWS - lengths[0] - lengths[1];
    lengths[3] = 0;
  }
  encoder->groups = 0;
  for (int i = 0; i < 4; i++)
    if (lengths[i] > 0) encoder->group_length[encoder->groups++] = lengths[i];
}

static void transform(struct aac_encoder *encoder, struct channel *channel) {
  struct spectrum *spectrum = &channel->spectrum;
  _Alignas(64) float windowed[2 * FRAME], lines[FRAME];
  const float *samples = channel->samples;
  if (encoder->sequence != EIGHT_SHORT) {
    for (int i = 0; i < 2 * FRAME; i++) windowed[i] = samples[i] * long_window[i];
    enum { FLAT = (FRAME - SHORT) / 2 };
    if (encoder->sequence == LONG_START) {
      memcpy(windowed + FRAME, samples + FRAME, FLAT * sizeof(float));
      for (int i = 0; i < SHORT; i++) windowed[FRAME + FLAT + i] = samples[FRAME + FLAT + i] * short_window[SHORT + i];
      memset(windowed + FRAME + FLAT + SHORT, 0, FLAT * sizeof(float));
    } else if (encoder->sequence == LONG_STOP) {
      memset(windowed, 0, FLAT * sizeof(float));
      for (int i = 0; i < SHORT; i++) windowed[FLAT + i] = samples[FLAT + i] * short_window[i];
      memcpy(windowed + FLAT + SHORT, samples + FLAT + SHORT, FLAT * sizeof(float));
    }
    encoder->transform_long(encoder->long_transform, lines, windowed, sizeof(float));
    memcpy(spectrum->lines, lines, sizeof lines);
    spectrum->bands = encoder->long_count;
    memcpy(spectrum->start, long_bands, sizeof long_bands);
    return;
  }
  for (int window = 0; window < WINDOWS; window++) {
    for (int i = 0; i < 2 * SHORT; i++) windowed[i] = samples[(FRAME - SHORT) / 2 + window * SHORT + i] * short_window[i];
    encoder->transform_short(encoder->short_transform, lines + window * SHORT, windowed, sizeof(float));
  }
  /* A band's lines of all windows of a group follow each other. */
  int band = 0, to = 0;
  for (int group = 0, window = 0; group < encoder->groups; window += encoder->group_length[group++])
    for (int i = 0; i < encoder->short_count; i++) {
      spectrum->start[band++] = to;
      for (int w = window; w < window + encoder->group_length[group]; w++)
        for (int line = short_bands[i]; line < short_bands[i + 1]; line++) spectrum->lines[to++] = lines[w * SHORT + line];
    }
  spectrum->start[band] = to;
  spectrum->bands = band;
}

/* ---- masking ---- */

static void find_energies(struct spectrum *spectrum) {
  int lines = spectrum->start[spectrum->bands];
  for (int i = 0; i < lines; i++) {
    float root = sqrtf(fabsf(spectrum->lines[i]));
    spectrum->root[i] = root * sqrtf(root);
  }
  for (int band = 0; band < spectrum->bands; band++) {
    float energy = 0, form = 0;
    for (int i = spectrum->start[band]; i < spectrum->start[band + 1]; i++) {
      energy += spectrum->lines[i] * spectrum->lines[i];
      form += sqrtf(fabsf(spectrum->lines[i]));
    }
    spectrum->energy[band] = energy;
    spectrum->form[band] = form;
  }
}

static void find_thresholds(const struct aac_encoder *encoder, struct channel *channel) {
  struct spectrum *spectrum = &channel->spectrum;
  int is_short = encoder->sequence == EIGHT_SHORT;
  const float *quiet = is_short ? short_quiet : long_quiet, *masked = is_short ? short_masked : long_masked;
  const float *up = is_short ? short_up : long_up, *down = is_short ? short_down : long_down;
  int count = encoder->bands_of_group;
  for (int group = 0; group < encoder->groups; group++) {
    float *threshold = spectrum->threshold + group * count;
    const float *energy = spectrum->energy + group * count;
    for (int band = 0; band < count; band++) threshold[band] = energy[band] * masked[band];
    for (int band = 1; band < count; band++) threshold[band] = most_of(threshold[band], threshold[band - 1] * up[band - 1]);
    for (int band = count - 2; band >= 0; band--) threshold[band] = most_of(threshold[band], threshold[band + 1] * down[band + 1]);
    for (int band = 0; band < count; band++) {
      float in_quiet = quiet[band] * (is_short ? encoder->group_length[group] : 1);
      threshold[band] = most_of(threshold[band], in_quiet);
      if (is_short) continue;
      /* Limits pre-echo: there was no masking before the masking sound began. */
      float now = threshold[band];
      if (encoder->sequence != LONG_STOP) threshold[band] = most_of(least_of(now, 2 * channel->last_threshold[band]), most_of(in_quiet, now * 0.01f));
      channel->last_threshold[band] = now;
    }
  }
}

static void find_middle_side(struct aac_encoder *encoder) {
  struct spectrum *left = &encoder->channel[0].spectrum, *right = &encoder->channel[1].spectrum;
  encoder->has_middle_side = 0;
  for (int band = 0; band < left->bands; band++) {
    float middle = 0, side = 0;
    for (int i = left->start[band]; i < left->start[band + 1]; i++) {
      float m = (left->lines[i] + right->lines[i]) / 2, s = (left->lines[i] - right->lines[i]) / 2;
      middle += m * m;
      side += s * s;
    }
    float threshold = least_of(left->threshold[band], right->threshold[band]) / 2;
    /* Bits grow with the logarithm of energy to threshold. */
    float apart = most_of(left->energy[band] / left->threshold[band], 1) * most_of(right->energy[band] / right->threshold[band], 1);
    float together = most_of(middle / threshold, 1) * most_of(side / threshold, 1);
    encoder->middle_side[band] = together < apart;
    if (!encoder->middle_side[band]) continue;
    encoder->has_middle_side = 1;
    left->threshold[band] = right->threshold[band] = threshold;
    for (int i = left->start[band]; i < left->start[band + 1]; i++) {
      float m = (left->lines[i] + right->lines[i]) / 2, s = (left->lines[i] - right->lines[i]) / 2;
      left->lines[i] = m;
      right->lines[i] = s;
    }
  }
  if (!encoder->has_middle_side) return;
  find_energies(left);
  find_energies(right);
}

/* The perceptual entropy of TS 26.403: the approximate number of bits that keeps noise that far below the energy. */
static float entropy_of(float lines, float ratio) { return lines * (ratio >= 3 ? ratio : 1.3219f + 0.5593f * ratio); }

static float kept_ratio(float ratio, float lowered) {
  ratio -= lowered;
  return ratio > LEAST_RATIO ? ratio : LEAST_RATIO;
}

static float entropy(const struct aac_encoder *encoder, float lowered) {
  float sum = 0;
  for (int channel = 0; channel < encoder->channels; channel++) {
    const struct spectrum *spectrum = &encoder->channel[channel].spectrum;
    for (int band = 0; band < spectrum->bands; band++)
      if (spectrum->ratio[band] > 0) sum += entropy_of(spectrum->width[band], kept_ratio(spectrum->ratio[band], lowered));
  }
  return sum;
}

/* Lowers or raises the ratios of all bands by the same amount, so that the bits are used up. @returns the resulting entropy */
static float spend(struct aac_encoder *encoder, float bits) {
  for (int channel = 0; channel < encoder->channels; channel++) {
    struct spectrum *spectrum = &encoder->channel[channel].spectrum;
    for (int band = 0; band < spectrum->bands; band++) {
      int width = spectrum->start[band + 1] - spectrum->start[band];
      float energy = spectrum->energy[band], threshold = spectrum->threshold[band];
      spectrum->ratio[band] = energy > threshold ? log2f(energy / threshold) : 0;
      /* Estimated number of lines that will not be zero. */
      spectrum->width[band] = energy > 0 ? spectrum->form[band] / sqrtf(sqrtf(energy / width)) : 0;
    }
  }
  float wanted = bits * encoder->entropy_per_bit, low = -MOST_RAISED, high = 12;
  if (entropy(encoder, low) <= wanted) high = low;
  else
    for (int i = 0; i < 8; i++) {
      float middle = (low + high) / 2;
      if (entropy(encoder, middle) > wanted) low = middle;
      else high = middle;
    }
  for (int channel = 0; channel < encoder->channels; channel++) {
    struct spectrum *spectrum = &encoder->channel[channel].spectrum;
    for (int band = 0; band < spectrum->bands; band++)
      if (spectrum->ratio[band] > 0) spectrum->ratio[band] = kept_ratio(spectrum->ratio[band], high);
  }
  return entropy(encoder, 0);
}

/* ---- quantizing ---- */

/* Raises factors so that the difference of any two can be written, whichever bands between them turn out to be zero and are left out. */
static void limit_differences(struct spectrum *spectrum) {
  int highest = -FACTOR_OFFSET;
  for (int band = 0; band < spectrum->bands; band++)
    if (spectrum->factor[band] != NOT_CODED && spectrum->factor[band] > highest) highest = spectrum->factor[band];
  for (int band = 0; band < spectrum->bands; band++)
    if (spectrum->factor[band] < highest - MAX_FACTOR_STEP) spectrum->factor[band] = highest - MAX_FACTOR_STEP;
}

/* Finds the largest steps whose noise stays within the ratios (TS 26.403). */
static void find_factors(struct spectrum *spectrum) {
  for (int band = 0; band < spectrum->bands; band++) {
    spectrum->factor[band] = NOT_CODED;
    if (spectrum->ratio[band] <= 0) continue;
    int factor = (int)floorf(8.0f / 3 * (log2f(6.75f * spectrum->energy[band] / spectrum->form[band]) - spectrum->ratio[band]));
    float largest = 0;
    for (int i = spectrum->start[band]; i < spectrum->start[band + 1]; i++) largest = most_of(largest, spectrum->root[i]);
    int least = (int)ceilf(16.0f / 3 * log2f(largest / (MAX_QUANTIZED - 1)));
    factor = factor < least ? least : factor;
    spectrum->factor[band] = factor < -FACTOR_OFFSET ? -FACTOR_OFFSET : factor > MAX_FACTOR ? MAX_FACTOR : factor;
  }
}

/*
 * Moves factors so that their differences are cheap to write, at little cost in noise and bits of the lines: dynamic programming along the bands, with SHIFTS
 * candidates for each factor. Costs are in parts of a bit and relative to the cheapest candidate of the band.
 */
static void smooth_factors(struct spectrum *spectrum) {
  int16_t cost[MAX_BANDS][SHIFTS];
  int coded[MAX_BANDS], count = 0;
  for (int band = 0; band < spectrum->bands; band++) {
    int factor = spectrum->factor[band];
    if (factor == NOT_CODED) continue;
    float largest = 0;
    for (int i = spectrum->start[band]; i < spectrum->start[band + 1]; i++) largest = most_of(largest, spectrum->root[i]);
    /* A larger factor would leave no line, a smaller one would make a line too large to write. */
    int most = (int)floorf(16.0f / 3 * log2f(largest / (1 - ROUNDING))), least = (int)ceilf(16.0f / 3 * log2f(largest / (MAX_QUANTIZED - 1)));
    if (factor > most) continue;
    most = most < MAX_FACTOR ? most : MAX_FACTOR;
    least = least > -FACTOR_OFFSET ? least : -FACTOR_OFFSET;
    int16_t *here = cost[count];
    for (int i = 0; i < SHIFTS; i++) {
      int shifted = factor + i - SHIFTS / 2;
      float price = spectrum->width[band] * shift_costs[i];
      here[i] = shifted > most || shifted < least || price > DEAR ? DEAR : (int16_t)price;
    }
    if (count > 0) {
      const int16_t *before = cost[count - 1], *code = factor_cost + FACTOR_COST_ZERO + factor - spectrum->factor[coded[count - 1]];
      int16_t best[SHIFTS], cheapest = INT16_MAX;
      for (int i = 0; i < SHIFTS; i++) best[i] = INT16_MAX;
      for (int from = 0; from < SHIFTS; from++)
        for (int i = 0; i < SHIFTS; i++) {
          int16_t sum = before[from] + code[i - from];
          best[i] = sum < best[i] ? sum : best[i];
        }
      for (int i = 0; i < SHIFTS; i++) {
        here[i] += best[i];
        cheapest = here[i] < cheapest ? here[i] : cheapest;
      }
      for (int i = 0; i < SHIFTS; i++) here[i] = here[i] - cheapest < DEAR ? here[i] - cheapest : DEAR;
    }
    coded[count++] = band;
  }
  for (int at = count - 1, chosen = 0, next = 0; at >= 0; at--) {
    int factor = spectrum->factor[coded[at]], lowest = INT32_MAX;
    for (int i = 0; i < SHIFTS; i++) {
      int sum = cost[at][i] + (at + 1 < count ? factor_cost[FACTOR_COST_ZERO + next - (factor + i - SHIFTS / 2)] : 0);
      if (sum < lowest) lowest = sum, chosen = i;
    }
    next = spectrum->factor[coded[at]] = factor + chosen - SHIFTS / 2;
  }
}

static void coarsen(struct spectrum *spectrum) {
  for (int band = 0; band < spectrum->bands; band++)
    if (spectrum->factor[band] < MAX_FACTOR) spectrum->factor[band]++;
}

/* @returns the largest value */
static int quantize_band(struct spectrum *spectrum, int band) {
  float scale = exp2f(-3.0f / 16 * spectrum->factor[band]);
  int largest = 0;
  for (int i = spectrum->start[band]; i < spectrum->start[band + 1]; i++) {
    int value = (int)(spectrum->root[i] * scale + ROUNDING);
    largest = value > largest ? value : largest;
    spectrum->quantized[i] = spectrum->lines[i] < 0 ? -value : value;
  }
  return largest;
}

static int band_symbol(int book, const int16_t *q) {
  switch (book) {
    case 1: case 2: return 27 * q[0] + 9 * q[1] + 3 * q[2] + q[3] + 40;
    case 3: case 4: return 27 * abs(q[0]) + 9 * abs(q[1]) + 3 * abs(q[2]) + abs(q[3]);
    case 5: case 6: return 9 * q[0] + q[1] + 40;
    case 7: case 8: return 8 * abs(q[0]) + abs(q[1]);
    case 9: case 10: return 13 * abs(q[0]) + abs(q[1]);
    default: {
      int a = abs(q[0]), b = abs(q[1]);
      return 17 * (a < 16 ? a : 16) + (b < 16 ? b : 16);
    }
  }
}

static int log2_of(unsigned value) { return 31 - __builtin_clz(value); }

static int escape_bits(int value) { return value < 16 ? 0 : 2 * log2_of(value) - 3; }

static int band_bits(const struct spectrum *spectrum, int band, int book) {
  int bits = 0, from = spectrum->start[band], to = spectrum->start[band + 1];
  const int16_t *q = spectrum->quantized;
  const uint8_t *cost = books[book].cost;
  if (book == 0) return 0;
  if (book <= 4)
    for (int i = from; i < to; i += 4) bits += cost[band_symbol(book, q + i)];
  else if (book < 11)
    for (int i = from; i < to; i += 2) bits += cost[band_symbol(book, q + i)];
  else
    for (int i = from; i < to; i += 2) bits += cost[band_symbol(11, q + i)] + escape_bits(abs(q[i])) + escape_bits(abs(q[i + 1]));
  return bits;
}

static int first_book(int largest) { return largest == 0 ? 0 : largest == 1 ? 1 : largest == 2 ? 3 : largest <= 4 ? 5 : largest <= 7 ? 7 : largest <= 12 ? 9 : 11; }

struct section { int first, end, book, bits; };

/* Joins a section with the next one if that is cheaper than another header. @returns whether it did */
static int join(const struct spectrum *spectrum, struct section *first, const struct section *second, int header) {
  int bits = first->bits + second->bits, book = first->book > second->book ? first->book : second->book;
  if (first->book != second->book) {
    const struct section *changed = first->book < second->book ? first : second;
    bits -= changed->bits;
    /* Bands without lines had no factors either. */
    for (int band = changed->first; band < changed->end; band++) bits += band_bits(spectrum, band, book) + (changed->book == 0);
    if (bits >= first->bits + second->bits + header) return 0;
  }
  *first = (struct section){first->first, second->end, book, bits};
  return 1;
}

/* Chooses codebooks; adjacent bands of a group with the same one are a section. @returns the bits of sections and lines */
static int choose_books(const struct aac_encoder *encoder, struct spectrum *spectrum, const int *largest) {
  int sum = 0, count = encoder->bands_of_group, is_short = encoder->sequence == EIGHT_SHORT;
  int header = is_short ? 7 : 9, longest = is_short ? 7 : 31;
  for (int group = 0; group < encoder->groups; group++) {
    struct section sections[LONG_BANDS];
    int used = 0;
    for (int band = group * count; band < (group + 1) * count; band++) {
      int book = first_book(largest[band]), bits = band_bits(spectrum, band, book);
      if (book > 0 && book < 11) {
        int other = band_bits(spectrum, band, book + 1);
        if (other < bits) bits = other, book++;
      }
      sections[used++] = (struct section){band, band + 1, book, bits};
      while (used > 1 && join(spectrum, &sections[used - 2], &sections[used - 1], header)) used--;
    }
    for (int i = 0; i < used; i++) {
      sum += sections[i].bits + header + (sections[i].end - sections[i].first) / longest * (header - 4);
      for (int band = sections[i].first; band < sections[i].end; band++) spectrum->book[band] = sections[i].book;
    }
  }
  return sum;
}

/* @returns the bits of one channel */
static int quantize(const struct aac_encoder *encoder, struct spectrum *spectrum) {
  int largest[MAX_BANDS], last = NOT_CODED;
  for (int band = 0; band < spectrum->bands; band++) {
    largest[band] = 0;
    if (spectrum->factor[band] == NOT_CODED) memset(spectrum->quantized + spectrum->start[band], 0, (spectrum->start[band + 1] - spectrum->start[band]) * sizeof(int16_t));
    else largest[band] = quantize_band(spectrum, band);
    if (largest[band] > 0 && last == NOT_CODED) last = spectrum->factor[band];
  }
  int bits = choose_books(encoder, spectrum, largest);
  for (int band = 0; band < spectrum->bands; band++) {
    if (spectrum->book[band] == 0) continue;
    /* A band without lines inside a section repeats the factor before it, which costs one bit. */
    int factor = largest[band] == 0 ? last : spectrum->factor[band];
    bits += factor_book.bits[factor - last + MAX_FACTOR_STEP];
    spectrum->written_factor[band] = last = factor;
  }
  return bits;
}

/* ---- writing ---- */

struct writer { uint8_t *bytes; int length; uint64_t held; int held_bits; };

static void put(struct writer *writer, int bits, uint32_t value) {
  writer->held = writer->held << bits | value;
  writer->held_bits += bits;
  while (writer->held_bits >= 8) writer->bytes[writer->length++] = writer->held >> (writer->held_bits -= 8);
}

static void put_info(struct writer *writer, const struct aac_encoder *encoder) {
  put(writer, 1, 0);
  put(writer, 2, encoder->sequence);
  put(writer, 1, 0); /* sine */
  if (encoder->sequence != EIGHT_SHORT) {
    put(writer, 6, encoder->long_count);
    put(writer, 1, 0); /* no prediction */
    return;
  }
  put(writer, 4, encoder->short_count);
  for (int group = 0; group < encoder->groups; group++) {
    for (int i = 1; i < encoder->group_length[group]; i++) put(writer, 1, 1);
    if (group + 1 < encoder->groups) put(writer, 1, 0);
  }
}

static void put_escape(struct writer *writer, int value) {
  if (value < 16) return;
  int bits = log2_of(value);
  put(writer, bits - 3, (1u << (bits - 3)) - 2);
  put(writer, bits, value - (1 << bits));
}

static void put_band(struct writer *writer, const struct spectrum *spectrum, int band) {
  int book = spectrum->book[band], step = book <= 4 ? 4 : 2;
  for (int i = spectrum->start[band]; i < spectrum->start[band + 1]; i += step) {
    const int16_t *q = spectrum->quantized + i;
    int symbol = band_symbol(book, q), bits = books[book].bits[symbol];
    uint32_t code = books[book].code[symbol];
    if (book == 3 || book == 4 || book >= 7)
      for (int k = 0; k < step; k++)
        if (q[k] != 0) code = code << 1 | (q[k] < 0), bits++;
    put(writer, bits, code);
    if (book == 11) put_escape(writer, abs(q[0])), put_escape(writer, abs(q[1]));
  }
}

/* Adjacent bands of one group with one codebook. */
static void put_section(struct writer *writer, const struct aac_encoder *encoder, int book, int length) {
  int is_short = encoder->sequence == EIGHT_SHORT, bits = is_short ? 3 : 5, longest = is_short ? 7 : 31;
  put(writer, 4, book);
  for (; length >= longest; length -= longest) put(writer, bits, longest);
  put(writer, bits, length);
}

static void put_channel(struct writer *writer, const struct aac_encoder *encoder, const struct spectrum *spectrum) {
  int gain = -1;
  for (int band = 0; band < spectrum->bands && gain < 0; band++)
    if (spectrum->book[band] != 0) gain = spectrum->written_factor[band] + FACTOR_OFFSET;
  put(writer, 8, gain < 0 ? 0 : gain);

  int count = encoder->bands_of_group;
  for (int group = 0; group < encoder->groups; group++)
    for (int band = group * count, end = (group + 1) * count; band < end;) {
      int first = band, book = spectrum->book[band];
      while (band < end && spectrum->book[band] == book) band++;
      put_section(writer, encoder, book, band - first);
    }

  for (int band = 0, last = gain - FACTOR_OFFSET; band < spectrum->bands; band++) {
    if (spectrum->book[band] == 0) continue;
    int difference = spectrum->written_factor[band] - last + MAX_FACTOR_STEP;
    put(writer, factor_book.bits[difference], factor_book.code[difference]);
    last = spectrum->written_factor[band];
  }
  put(writer, 3, 0); /* no pulses, no noise shaping, no gain control */
  for (int band = 0; band < spectrum->bands; band++)
    if (spectrum->book[band] != 0) put_band(writer, spectrum, band);
}

/* The side channel of a mono signal: no band is coded. */
static void put_silence(struct writer *writer, const struct aac_encoder *encoder) {
  put(writer, 8, 0);
  for (int group = 0; group < encoder->groups; group++) put_section(writer, encoder, 0, encoder->bands_of_group);
  put(writer, 3, 0);
}

static int write_frame(const struct aac_encoder *encoder, uint8_t *frame) {
  struct writer writer = {.bytes = frame};
  int middle_side = encoder->channels == 1 ? ALL_BANDS : encoder->has_middle_side ? SOME_BANDS : NO_BANDS;
  put(&writer, 3, 1); /* a pair of channels */
  put(&writer, 4, 0);
  put(&writer, 1, 1); /* both have the same windows */
  put_info(&writer, encoder);
  put(&writer, 2, middle_side);
  if (middle_side == SOME_BANDS)
    for (int band = 0; band < encoder->channel[0].spectrum.bands; band++) put(&writer, 1, encoder->middle_side[band]);
  put_channel(&writer, encoder, &encoder->channel[0].spectrum);
  if (encoder->channels == 1) put_silence(&writer, encoder);
  else put_channel(&writer, encoder, &encoder->channel[1].spectrum);
  put(&writer, 3, 7);
  if (writer.held_bits > 0) put(&writer, 8 - writer.held_bits, 0);
  return writer.length;
}

/* ---- the encoder ---- */

/* The bandwidth in hertz for the bits per second of a channel: fewer bits are better spent on fewer lines. */
static float bandwidth(float bits_per_second) {
  static const struct { float bits_per_second, hertz; } table[] = {{16000, 8000}, {32000, 12500}, {48000, 15000}, {64000, 17000}, {96000, 20250}};
  enum { LAST = sizeof table / sizeof *table - 1 };
  if (bits_per_second <= table[0].bits_per_second) return table[0].hertz;
  for (int i = 0; i < LAST; i++) {
    if (bits_per_second > table[i + 1].bits_per_second) continue;
    float part = (bits_per_second - table[i].bits_per_second) / (table[i + 1].bits_per_second - table[i].bits_per_second);
    return table[i].hertz + part * (table[i + 1].hertz - table[i].hertz);
  }
  return table[LAST].hertz;
}

/* @returns the number of bands that end at or below a line, but at least one */
static int bands_below(const uint16_t *start, int bands, float line) {
  while (bands > 1 && start[bands] > line) bands--;
  return bands;
}

struct aac_encoder *aac_encoder_open(int channels, int bits_per_second) {
  if (factor_book.bits[0] == 0) make_tables();
  struct aac_encoder *encoder = av_mallocz(sizeof *encoder);
  if (!encoder) return NULL;
  encoder->channels = channels;
  encoder->target = (float)bits_per_second * FRAME / SAMPLE_RATE;
  float hertz = bandwidth((float)bits_per_second / channels);
  encoder->long_count = bands_below(long_bands, LONG_BANDS, hertz / (SAMPLE_RATE / 2) * FRAME);
  encoder->short_count = bands_below(short_bands, SHORT_BANDS, hertz / (SAMPLE_RATE / 2) * SHORT);
  encoder->entropy_per_bit = ENTROPY_PER_BIT;
  encoder->this_change.attack = encoder->next_change.attack = -1;
  float scale = 65536;
  if (av_tx_init(&encoder->long_transform, &encoder->transform_long, AV_TX_FLOAT_MDCT, 0, FRAME, &scale, 0) < 0 ||
      av_tx_init(&encoder->short_transform, &encoder->transform_short, AV_TX_FLOAT_MDCT, 0, SHORT, &scale, 0) < 0) {
    aac_encoder_close(encoder);
    return NULL;
  }
  return encoder;
}

/* Chooses the windows of this frame from its changes and those of its neighbours. */
static void choose_windows(struct aac_encoder *encoder, struct change before, struct change this, struct change next) {
  int is_short = wants_short(before, this), next_is_short = wants_short(this, next), was_short = encoder->sequence == EIGHT_SHORT;
  encoder->sequence = is_short || (was_short && next_is_short) ? EIGHT_SHORT : was_short ? LONG_STOP : next_is_short ? LONG_START : ONLY_LONG;
  if (encoder->sequence == EIGHT_SHORT) {
    group_windows(encoder, before, this);
    encoder->bands_of_group = encoder->short_count;
  } else {
    encoder->groups = encoder->group_length[0] = 1;
    encoder->bands_of_group = encoder->long_count;
  }
}

/* Quantizes all channels; repeats it more coarsely if that takes far more bits than wanted, or more than a frame may have. @returns the bits */
static int quantize_within(struct aac_encoder *encoder, float wanted) {
  for (int again = 0;; again++) {
    int bits = HEADER_BITS * encoder->channels;
    for (int i = 0; i < encoder->channels; i++) bits += quantize(encoder, &encoder->channel[i].spectrum);
    if (bits <= MAX_BITS_OF_CHANNEL * encoder->channels && (bits <= 1.5f * wanted + SIDE_BITS || again >= MOST_AGAIN)) return bits;
    for (int i = 0; i < encoder->channels; i++) coarsen(&encoder->channel[i].spectrum);
  }
}

int aac_encoder_encode(struct aac_encoder *encoder, const float *const *samples, uint8_t *frame) {
  struct change before = encoder->this_change, this = encoder->next_change, next = {-1, 0};
  for (int i = 0; i < encoder->channels; i++) {
    struct channel *channel = &encoder->channel[i];
    memmove(channel->samples, channel->samples + FRAME, 2 * FRAME * sizeof(float));
    memcpy(channel->samples + 2 * FRAME, samples[i], FRAME * sizeof(float));
    struct change found = find_change(channel);
    if (found.attack >= 0 && (next.attack < 0 || found.attack < next.attack)) next.attack = found.attack;
    next.fades |= found.fades;
  }
  encoder->this_change = this;
  encoder->next_change = next;
  if (!encoder->has_begun) {
    encoder->has_begun = 1;
    return 0;
  }

  choose_windows(encoder, before, this, next);
  for (int i = 0; i < encoder->channels; i++) {
    transform(encoder, &encoder->channel[i]);
    find_energies(&encoder->channel[i].spectrum);
    find_thresholds(encoder, &encoder->channel[i]);
  }
  if (encoder->channels == 2) find_middle_side(encoder);

  float spare = most_of(least_of(SPENT_AT_ONCE * encoder->reserve, MOST_SPARE * encoder->target), -LEAST_SPARE * encoder->target);
  float wanted = encoder->target + spare, entropy = spend(encoder, wanted - SIDE_BITS * encoder->channels);
  for (int i = 0; i < encoder->channels; i++) {
    find_factors(&encoder->channel[i].spectrum);
    limit_differences(&encoder->channel[i].spectrum);
    smooth_factors(&encoder->channel[i].spectrum);
    limit_differences(&encoder->channel[i].spectrum);
  }
  int bits = quantize_within(encoder, wanted);
  if (entropy > TELLING_ENTROPY) encoder->entropy_per_bit = most_of(0.8f, least_of(2.5f, 0.95f * encoder->entropy_per_bit + 0.05f * entropy / bits));
  encoder->reserve = most_of(least_of(encoder->reserve + encoder->target - bits, MOST_RESERVE * encoder->target), -MOST_RESERVE * encoder->target);
  return write_frame(encoder, frame);
}

void aac_encoder_close(struct aac_encoder *encoder) {
  if (!encoder) return;
  av_tx_uninit(&encoder->long_transform);
  av_tx_uninit(&encoder->short_transform);
  av_free(encoder);
}
