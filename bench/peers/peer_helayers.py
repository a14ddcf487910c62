"""HElayers (pyhelayers, closed; SEAL below): encrypted or plaintext model, batches as its optimizer lays them out."""

import os
import tempfile

import numpy as np
import onnx

from common import Absent, onnx_path


def importable(network, batch, directory):
    """The ONNX file in the form that HElayers reads, with the same values: the batch axis a number, no `allowzero` (no shape has a zero), and
    images flat where flattening them is all that the first node does."""
    model = onnx.load(onnx_path(network))
    graph = model.graph
    for value in list(graph.input) + list(graph.output) + list(graph.value_info):
        if value.type.tensor_type.shape.dim:
            value.type.tensor_type.shape.dim[0].dim_value = batch
    for node in graph.node:
        if node.op_type == "Reshape":
            del node.attribute[:]
    first = graph.node[0]
    flat = first.op_type == "Reshape"
    if flat:
        graph.node.remove(first)
        for node in graph.node:
            node.input[:] = [first.input[0] if name == first.output[0] else name for name in node.input]
        shape = graph.input[0].type.tensor_type.shape
        del shape.dim[2:]
        shape.dim[1].dim_value = 28 * 28
    path = os.path.join(directory, f"{network}.onnx")
    onnx.save(model, path)
    return path, flat


class Peer:
    name = "helayers"

    def __init__(self, network, batch, encrypted, threads):
        os.environ["OMP_NUM_THREADS"] = str(threads)
        try:
            import pyhelayers
        except ImportError as error:
            raise Absent(f"pyhelayers is not installed ({error}): pip install pyhelayers") from error
        self.library = pyhelayers
        plain = pyhelayers.NeuralNetPlain()
        with tempfile.TemporaryDirectory() as directory:
            path, self.flat = importable(network, batch, directory)
            try:
                plain.init_from_files(pyhelayers.PlainModelHyperParams(), [path])
            except RuntimeError as error:
                raise Absent(f"HElayers does not read {network}.onnx: {error}") from error
        wanted = pyhelayers.HeRunRequirements()
        wanted.set_he_context_options([pyhelayers.SealCkksContext()])
        wanted.set_model_encrypted(encrypted)
        wanted.optimize_for_batch_size(batch)
        # Its default of 50 bits doubles N; 30 leave errors far below what counts.
        wanted.set_integer_part_precision(10)
        wanted.set_fractional_part_precision(30)
        profile = pyhelayers.HeModel.compile(plain, wanted)
        self.context = pyhelayers.HeModel.create_context(profile)
        self.model = pyhelayers.NeuralNet(self.context)
        (self.model.encode_encrypt if encrypted else self.model.encode)(plain, profile)
        self.codec = self.model.create_model_io_encoder()
        self.batch = batch
        self.conditions = f"log slots {np.log2(self.context.slot_count()):.0f}, 128-bit by its own account"

    def encrypt(self, images):
        samples = self.library.EncryptedData(self.context)
        self.codec.encode_encrypt(samples, [images.reshape(len(images), -1) if self.flat else images])
        return samples

    def evaluate(self, samples):
        results = self.library.EncryptedData(self.context)
        self.model.predict(results, samples)
        return results

    def decrypt(self, results):
        outputs = np.asarray(self.codec.decrypt_decode_output(results))
        return outputs.reshape(self.batch, -1)
