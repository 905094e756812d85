// Every setting of a run, once. The list below drives the command line's flags, --help, GAN_* environment
// names, TOML files, --dry-run, the run folder's config.toml and the header of a checkpoint: a new setting is
// one member and one row.
#pragma once
#include <cstdint>
#include <functional>
#include <map>
#include <string>
#include <string_view>
#include <type_traits>
#include <vector>

namespace gan {

class InputFile;  // engine/atomic_file.h

struct Config {
  // what
  std::string model, data;
  // run
  std::string out, device = "auto", precision = "fp32";
  int64_t seed = 1;
  bool deterministic = false;
  int workers = 0;
  double cache_gb = 4;
  bool dry_run = false, force = false, quiet = false, verbose = false, json = false;
  // length and output
  int64_t steps = 0, epochs = 0;
  double minutes = 0;
  int batch = 64;
  int64_t log_every = 50, sample_every = 500, save_every = 1000, eval_every = 500;
  int keep = 2;
  std::string resume, init, replay;
  // data
  int size = 64, load_size = 0, channels = 3;
  bool no_augment = false, no_shuffle = false;
  std::string direction = "AtoB", make_input;
  std::vector<double> split;
  std::string matte = "white";
  double max_bad = 0.01;
  // networks
  int nz = 100, ngf = 64, ndf = 64;
  std::string netG = "unet", netD = "patch", norm = "batch", up = "convt";
  int n_layers_d = 3, discriminators = 1;
  bool dropout = false;
  std::string norm_mode = "running";
  // learning
  std::string gan_loss = "vanilla";
  int n_critic = 1;
  double label_smooth = 0;
  double lr = 2e-4, lr_d = 0, beta1 = 0.5, beta2 = 0.999;
  std::string lr_policy = "constant";
  double weight_decay = 0, ema = 0;
  double lambda_l1 = 100;
  int pool = 0;
};

struct Field {
  const char* name;    // as on the command line: "lr-policy"; the TOML key has _ for -
  const char* group;   // a heading of --help
  const char* help;    // what it is, with its unit; says what 0 or an empty text means
  const char* values;  // "a|b|c" choices, or "min..max" for numbers (either end may be missing), or ""
  // Letters. Which commands take it: t train, s sample, r translate, e eval, i inspect. And: x is about one
  // call of the program and is not written to config.toml; p changes the pace only, never a result, and is
  // not written to checkpoints.
  const char* where;
};

// Calls f(field, member) for every setting, in the order --help and config.toml have.
template <class C, class F>
void for_each_field(C& c, F&& f) {
  // clang-format off
  f(Field{"model", "what", "network to train: see `gan help train`", "", ""}, c.model);
  f(Field{"data", "what", "folder of pictures, or builtin:comics", "", ""}, c.data);

  f(Field{"out", "run", "folder of the run, or the file to write; empty: runs/NNNNN-MODEL-DATA", "", "tsrx"}, c.out);
  f(Field{"device", "run", "auto, cpu, cuda, cuda:N, simt or ref", "", "tsre"}, c.device);
  f(Field{"seed", "run", "of all random numbers", "0..", "tsre"}, c.seed);
  f(Field{"precision", "run", "of the arithmetic", "fp32", "t"}, c.precision);
  f(Field{"deterministic", "run", "no autotuned choices: results depend on the build and the device model alone", "", "t"}, c.deterministic);
  f(Field{"workers", "run", "threads that decode pictures; 0: one per core", "0..256", "tp"}, c.workers);
  f(Field{"cache-gb", "run", "memory for decoded pictures; a larger set streams from its files", "0..", "tp"}, c.cache_gb);
  f(Field{"dry-run", "run", "print settings, parameters, predicted memory and work per step, then stop", "", "tx"}, c.dry_run);
  f(Field{"force", "run", "clear an earlier run's files in --out", "", "tsrx"}, c.force);
  f(Field{"quiet", "run", "errors only", "", "tsrex"}, c.quiet);
  f(Field{"verbose", "run", "more detail on stderr", "", "tsrex"}, c.verbose);
  f(Field{"json", "run", "machine-readable output on stdout", "", "tsrex"}, c.json);

  f(Field{"steps", "length and output", "stop after this many steps; 0: by epochs or minutes", "0..", "t"}, c.steps);
  f(Field{"epochs", "length and output", "stop after this many passes over the data; 0: by steps or minutes", "0..", "t"}, c.epochs);
  f(Field{"minutes", "length and output", "stop after this much training time; 0: by steps or epochs", "0..", "t"}, c.minutes);
  f(Field{"batch", "length and output", "pictures per batch", "1..65536", "ti"}, c.batch);
  f(Field{"log-every", "length and output", "steps between lines of metrics.jsonl; 0: never", "0..", "t"}, c.log_every);
  f(Field{"sample-every", "length and output", "steps between sample grids; 0: never", "0..", "t"}, c.sample_every);
  f(Field{"save-every", "length and output", "steps between checkpoints; 0: the last step only", "0..", "t"}, c.save_every);
  f(Field{"eval-every", "length and output", "steps between validations of models that learn from pairs; 0: never", "0..", "t"}, c.eval_every);
  f(Field{"keep", "length and output", "checkpoints kept besides the latest; 0: all", "0..", "t"}, c.keep);
  f(Field{"resume", "length and output", "go on with the run in this folder", "", "tx"}, c.resume);
  f(Field{"init", "length and output", "start from the weights of this checkpoint", "", "t"}, c.init);
  f(Field{"replay", "length and output", "take weights, noise and pictures from this replay file", "", "t"}, c.replay);

  f(Field{"size", "data", "side of the pictures in pixels", "1..4096", "ti"}, c.size);
  f(Field{"load-size", "data", "side pictures are scaled to before a random crop of --size; 0: --size", "0..8192", "t"}, c.load_size);
  f(Field{"channels", "data", "3 colour, 1 grey", "1|3", "ti"}, c.channels);
  f(Field{"no-augment", "data", "no random crops and flips", "", "t"}, c.no_augment);
  f(Field{"no-shuffle", "data", "pictures in the order of their names", "", "t"}, c.no_shuffle);
  f(Field{"direction", "data", "of aligned pairs: which picture becomes which", "AtoB|BtoA", "te"}, c.direction);
  f(Field{"make-input", "data", "make pairs from single pictures: sketch, grey, noise, blur, lowres or mask is the input; empty: aligned pairs", "", "te"}, c.make_input);
  f(Field{"split", "data", "parts of the set for training and validation, as 0.9,0.1; empty: all for training, of pairs 1 in 20 for validation", "0..1", "t"}, c.split);
  f(Field{"matte", "data", "colour behind transparent pictures: white, black or RRGGBB", "", "tre"}, c.matte);
  f(Field{"max-bad", "data", "part of the files that may be unreadable", "0..1", "t"}, c.max_bad);

  f(Field{"nz", "networks", "noise values per picture", "1..65536", "ti"}, c.nz);
  f(Field{"ngf", "networks", "width of the generator: channels of its last hidden layer", "1..4096", "ti"}, c.ngf);
  f(Field{"ndf", "networks", "width of the discriminator: channels of its first layer", "1..4096", "ti"}, c.ndf);
  f(Field{"netG", "networks", "generator of pix2pix and colorize; unet: the deepest that --size allows", "unet|unet_32|unet_64|unet_128|unet_256|resnet_6|resnet_9", "ti"}, c.netG);
  f(Field{"netD", "networks", "discriminator of pix2pix and colorize", "patch|pixel", "ti"}, c.netD);
  f(Field{"n-layers-d", "networks", "layers of --netD patch; 3: each logit sees 70 pixels", "1..5", "ti"}, c.n_layers_d);
  f(Field{"discriminators", "networks", "scales at which --netD patch looks", "1..3", "ti"}, c.discriminators);
  f(Field{"up", "networks", "how pix2pix and colorize double a side: transposed convolution, nearest + convolution, pixel shuffle", "convt|resize|shuffle", "ti"}, c.up);
  f(Field{"dropout", "networks", "dropout in the generator of pix2pix and colorize", "", "ti"}, c.dropout);
  f(Field{"norm", "networks", "normalisation between layers", "batch|instance|none", "ti"}, c.norm);
  f(Field{"norm-mode", "networks", "batch norm of a trained pix2pix or colorize: by running statistics, or by those of each picture", "running|batch", "tre"}, c.norm_mode);

  f(Field{"gan-loss", "learning", "vanilla is the non-saturating form", "vanilla|minimax|lsgan|hinge", "t"}, c.gan_loss);
  f(Field{"n-critic", "learning", "discriminator updates per step", "1..1000", "t"}, c.n_critic);
  f(Field{"label-smooth", "learning", "the label of real pictures is 1 minus this", "0..0.5", "t"}, c.label_smooth);
  f(Field{"lr", "learning", "Adam's learning rate", "0..", "t"}, c.lr);
  f(Field{"lr-d", "learning", "the discriminator's learning rate; 0: --lr", "0..", "t"}, c.lr_d);
  f(Field{"beta1", "learning", "Adam's decay of the first moment", "0..0.9999", "t"}, c.beta1);
  f(Field{"beta2", "learning", "Adam's decay of the second moment", "0..0.999999", "t"}, c.beta2);
  f(Field{"lr-policy", "learning", "how the learning rate changes at the end of an epoch", "constant|linear|step|cosine|cyclic", "t"}, c.lr_policy);
  f(Field{"weight-decay", "learning", "L2 penalty of Adam", "0..", "t"}, c.weight_decay);
  f(Field{"lambda-l1", "learning", "weight of the mean distance to the right picture (pix2pix, colorize)", "0..", "t"}, c.lambda_l1);
  f(Field{"pool", "learning", "earlier generated pairs that the discriminator sees again (pix2pix, colorize); 0: none", "0..10000", "t"}, c.pool);
  f(Field{"ema", "learning", "decay of the generator's averaged weights; 0: none", "0..0.99999999", "t"}, c.ema);
  // clang-format on
}

// Where each value came from: "preset", "config FILE", "environment GAN_LR", "command line", "run",
// "default".
using Origins = std::map<std::string, std::string>;  // by field name

// Sets one field from text ("0.9,0.1" for lists, "true"/"false" for switches). Checks type, choices and
// range; throws Exit::usage naming field, value, what is allowed and the remedy. `source` is for the message:
// "--lr", "key lr in a.toml line 3". An unknown name is an error that names the nearest field.
void set_field(Config& config, std::string_view name, const std::string& text, const std::string& source);
bool has_field(std::string_view name);
std::string get_field(const Config& config, std::string_view name);  // as set_field takes it
std::string nearest_field(std::string_view name);  // by edit distance; empty when none is near

// Reads a flat TOML file or text; keys as field names with _ for -; integers are fine for real numbers.
// Throws Exit::usage with file, line and key; a file that cannot be read is Exit::bad_data.
void read_toml_file(Config& config, const std::string& path, Origins& origins);
void read_toml_file(Config& config, const InputFile& file, Origins& origins);
// `foreign` is asked about every key first, with its value as TOML writes it: true passes it over.
using ForeignKey = std::function<bool(const std::string& key, const std::string& value)>;
void read_toml_text(Config& config, const std::string& text, const std::string& name, Origins& origins,
                    const std::string& origin, const ForeignKey& foreign = {});
// GAN_LR and the like; an empty value counts as not set. Names that are no settings (GAN_CONFIG, GAN_KERNEL,
// GAN_NVTX, GAN_ALLOC, GAN_LOG, GAN_SIMT, GAN_SHARED, GAN_TEST_*) are left alone; another unknown GAN_ name
// is an error that names the nearest.
void read_environment(Config& config, Origins& origins);

// All settings as TOML, groups as comments, defaults included; reading it back gives the same Config, but for
// the settings of one call (--out, --resume, --dry-run, --force, --quiet, --verbose, --json), which are left
// out. For a checkpoint also those that change no result are left out (--workers, --cache-gb): the same
// training gives the same file, byte for byte.
std::string to_toml(const Config& config, bool for_checkpoint = false);
inline constexpr std::string_view kConfigFileMark = "# Settings of a run of gan";  // how that text begins
// The same settings as one JSON object, keys as in TOML.
std::string to_json(const Config& config);

// Edit distance (insert, delete, replace), for "did you mean".
int edit_distance(std::string_view a, std::string_view b);
// The first of the nearest words that are at most `furthest` from the text; empty: none is.
template <class Words>
std::string nearest_word(const Words& words, std::string_view text, int furthest) {
  std::string nearest;
  for (const auto& word : words)
    if (const int distance = edit_distance(word, text); distance <= furthest)
      nearest = word, furthest = distance - 1;
  return nearest;
}

}  // namespace gan
