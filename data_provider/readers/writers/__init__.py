"""Writes an ECG in formats that other software reads, one module per format; `convert` chooses and checks.

Every writer takes the folder, the name without suffix and the ECG, and writes no patient, date, device or id.
"""
