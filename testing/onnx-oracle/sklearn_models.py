"""Models of scikit-learn as skl2onnx exports them, for the compiler's tests.

    pip install numpy onnx onnxruntime scikit-learn skl2onnx
    python testing/onnx-oracle/sklearn_models.py crates/compiler/tests/models/sklearn

NAME.onnx, NAME.inputs.npy and NAME.outputs.npy (onnxruntime's: labels as numbers, then scores or predictions).
"""

import sys
from pathlib import Path

import numpy as np
import onnxruntime as ort
from skl2onnx import to_onnx
from sklearn.datasets import load_breast_cancer, load_diabetes, load_iris
from sklearn.decomposition import PCA
from sklearn.linear_model import LinearRegression, LogisticRegression, Ridge, SGDClassifier
from sklearn.neural_network import MLPClassifier, MLPRegressor
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import MinMaxScaler, PolynomialFeatures, StandardScaler

target = Path(sys.argv[1])
target.mkdir(parents=True, exist_ok=True)
CANCER, IRIS, DIABETES = load_breast_cancer(), load_iris(), load_diabetes()
MODELS = {
    "logistic_binary": (make_pipeline(StandardScaler(), LogisticRegression()), CANCER),
    "logistic_multinomial": (make_pipeline(MinMaxScaler(), LogisticRegression()), IRIS),
    "linear_regression": (LinearRegression(), DIABETES),
    "ridge_pca": (make_pipeline(StandardScaler(), PCA(5), Ridge()), DIABETES),
    "mlp_identity": (make_pipeline(StandardScaler(), MLPRegressor(hidden_layer_sizes=(8,), activation="identity", max_iter=2000, random_state=0)), DIABETES),
    "mlp_relu": (make_pipeline(StandardScaler(), MLPClassifier(hidden_layer_sizes=(8,), max_iter=500, random_state=0)), CANCER),
    "mlp_logistic": (make_pipeline(StandardScaler(), MLPClassifier(hidden_layer_sizes=(6,), activation="logistic", max_iter=800, random_state=0)), IRIS),
    "sgd_hinge": (make_pipeline(StandardScaler(), SGDClassifier(random_state=0)), CANCER),
    "polynomial_features": (make_pipeline(PolynomialFeatures(2), StandardScaler(), Ridge()), IRIS),
}
for name, (model, data) in MODELS.items():
    x = data.data.astype(np.float32)
    model.fit(x, data.target)
    options = {"zipmap": False} if hasattr(model, "predict_proba") or "SGD" in str(model) else None
    exported = to_onnx(model, x[:1], options=options, target_opset=17)
    samples = x[:: max(1, len(x) // 40)][:40]
    session = ort.InferenceSession(exported.SerializeToString(), providers=["CPUExecutionProvider"])
    feed = session.get_inputs()[0].name
    rows = [np.concatenate([np.asarray(r, np.float32).reshape(-1) for r in session.run(None, {feed: s[None]})]) for s in samples]
    (target / f"{name}.onnx").write_bytes(exported.SerializeToString())
    np.save(target / f"{name}.inputs.npy", samples)
    np.save(target / f"{name}.outputs.npy", np.array(rows))
    nodes = [n.op_type for n in exported.graph.node]
    print(name, nodes)
